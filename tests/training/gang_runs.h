// Jobs of gangs whose ranks are threads, and what they leave behind.
#ifndef CARACAL_TESTS_TRAINING_GANG_RUNS_H_
#define CARACAL_TESTS_TRAINING_GANG_RUNS_H_

#include <gtest/gtest.h>

#include <functional>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "core/base/temporary_folder.h"
#include "dist/mesh/mesh.h"
#include "jobs/convert/conversion.h"
#include "proto/job.pb.h"

namespace caracal {

using RunMetrics = std::vector<nlohmann::json>;
// By name: all tensors of a checkpoint, whole.
using RunState = std::map<std::string, std::vector<float>>;

class GangRuns : public ::testing::Test {
 protected:
  void SetUp() override;

  // A job on the model `model`: `own` (text format) over a small one. A preset
  // takes 3 steps of transfer and 4 of fine-tuning.
  proto::Job Job(const std::string& own, const MeshShape& shape) const;

  // As gangs of this shape do it; the leading rank's answer.
  absl::Status Run(const std::string& own, const MeshShape& shape,
                   const std::string& path, bool resume = false);
  absl::Status RunJob(const proto::Job& job, const MeshShape& shape,
                      const std::string& path, bool resume = false);
  // As they are called.
  std::vector<absl::Status> RunRanks(
      const MeshShape& shape,
      const std::function<ConversionOptions(int rank)>& options);

  // Lines of metrics.jsonl, without what differs from run to run.
  static RunMetrics Metrics(const std::string& path);
  // Of the checkpoint after `step`.
  static RunState Read(const std::string& run, uint64_t step);
  // The gradients that AdamW took at `step`, by what they changed: its first
  // moments from the checkpoint before to the one after.
  static RunState Gradients(const std::string& run, uint64_t step);
  // A copy of a run as if it had been cut off after `step`.
  static void CopyUntil(uint64_t step, const std::string& run,
                        const std::string& to);

  TemporaryFolder folder_;
  std::string model_;  // tiny_gqa

 private:
  absl::Status WriteRows(const std::string& name, int64_t first, int64_t count);
};

// The same draws, bit for bit; a loss is a sum in another order, behind steps
// that were too: `tolerance` relative, of figures below 1 other than losses
// absolute.
void ExpectClose(const RunMetrics& one, const RunMetrics& gang,
                 double tolerance = 1e-6);

// Without la_mass of transfer, which a layer chain does not measure.
RunMetrics AsOfChain(RunMetrics metrics);

// Tensors whose names begin so.
void ExpectNear(const RunState& one, const RunState& gang,
                const std::string& begin, double tolerance);

}  // namespace caracal

#endif  // CARACAL_TESTS_TRAINING_GANG_RUNS_H_
