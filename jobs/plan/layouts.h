// The layouts of a stage over a number of GPUs: which fit, and which is
// quickest.
#ifndef CARACAL_JOBS_PLAN_LAYOUTS_H_
#define CARACAL_JOBS_PLAN_LAYOUTS_H_

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "dist/gang/gang.h"
#include "jobs/plan/machine.h"
#include "jobs/plan/memory.h"
#include "jobs/plan/time.h"
#include "proto/job.pb.h"

namespace caracal {

struct PlanRequest {
  Machine machine;
  int gpus = 1;
  // Fixed sizes; 0: any.
  int data = 0, tensor = 0, layer = 0;
  int64_t micro_rows = 0;  // that a rank runs at a time; 0: the most that fit
  int64_t seq_len = 0;     // tokens of a row
};

// A stage on one layout, as the rank with most to do sees it.
struct PlannedStage {
  StageLayout layout;
  MemoryEstimate memory;
  TimeEstimate time;
  GangTraffic sent;               // bytes a step
  uint64_t checkpoint_bytes = 0;  // that it writes
  double tokens_per_s() const;    // of all ranks
  // The part that takes most time, and its share.
  std::string limit() const;
  double limit_share() const;
};

// All that fit, the quickest first; fine-tunes with layer 1 alone.
// kInvalidArgument when there is no such layout at all, saying why;
// kResourceExhausted when none fits, with what the smallest would take.
absl::StatusOr<std::vector<PlannedStage>> PlanStage(const proto::Job& job,
                                                    int stage,
                                                    const ModelConfig& model,
                                                    const PlanRequest& request);

// The stage on just this mesh, whether it fits or not. kInvalidArgument when
// the model or the job's rows cannot be split so.
absl::StatusOr<PlannedStage> PlanOnMesh(const proto::Job& job, int stage,
                                        const ModelConfig& model,
                                        const PlanRequest& request,
                                        const MeshShape& mesh);

// The parts of an estimate that are not 0, by their names in JSON.
std::vector<std::pair<std::string, uint64_t>> PartsOf(const MemoryEstimate& m);
std::vector<std::pair<std::string, double>> PartsOf(const TimeEstimate& t);

}  // namespace caracal

#endif  // CARACAL_JOBS_PLAN_LAYOUTS_H_
