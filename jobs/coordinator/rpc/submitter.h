// How a job gets in, whoever brings it: over gRPC or from the page.
#ifndef CARACAL_JOBS_COORDINATOR_RPC_SUBMITTER_H_
#define CARACAL_JOBS_COORDINATOR_RPC_SUBMITTER_H_

#include <array>
#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "jobs/coordinator/access/rooted_file_system.h"
#include "jobs/coordinator/access/slurm_rules.h"
#include "jobs/coordinator/engine/coordinator.h"
#include "jobs/model/surroundings_cache.h"
#include "jobs/spec/problem.h"
#include "proto/coordinator.pb.h"

namespace caracal {

// Of submissions since this process began.
struct SubmissionCounts {
  // Upper ends of the latencies that are told apart, in seconds.
  static constexpr std::array<double, 9> kBounds = {
      0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.5, 2.5, 10};

  uint64_t accepted = 0, refused = 0;
  // Of those that were accepted: how many took at most kBounds[i].
  std::array<uint64_t, kBounds.size()> within = {};
  double seconds = 0;  // all of them together
};

// Thread-safe.
class Submitter {
 public:
  using Reply = std::function<void(const absl::StatusOr<JobId>&,
                                   const std::vector<Problem>&)>;

  // `slots`: of a job that names no threads. Coordinator and files outlive it;
  // it outlives the coordinator's replies. `closed`: why nothing is taken in;
  // "": it is. `slurm`: what jobs may ask of it.
  Submitter(int64_t slots, Coordinator* coordinator, RootedFileSystem* files,
            std::string closed = "", SlurmRules slurm = {})
      : slots_(slots),
        coordinator_(coordinator),
        files_(files),
        closed_(std::move(closed)),
        slurm_(std::move(slurm)),
        surroundings_(files) {}

  // Answers when the job is durable, or at once: kInvalidArgument with what is
  // wrong with it, kFailedPrecondition when nothing is taken in, kUnavailable
  // with a store that fails, errors of CoordinatorState::Submit.
  void Submit(const proto::SubmitRequest& request, const std::string& owner,
              Reply reply);

  // What Submit would refuse it for; nothing is stored or counted. Without a
  // job only the rest of the request is looked at. kFailedPrecondition and
  // kUnavailable as of Submit.
  absl::Status Validate(const proto::SubmitRequest& request,
                        const std::string& owner,
                        std::vector<Problem>* problems);

  SubmissionCounts Counts() const;

 private:
  // Whether anything is taken in.
  absl::Status CheckOpen() const;
  void Count(bool accepted, absl::Duration took);

  const int64_t slots_;
  Coordinator* const coordinator_;
  RootedFileSystem* const files_;
  const std::string closed_;
  const SlurmRules slurm_;
  SurroundingsCache surroundings_;
  mutable absl::Mutex mutex_;
  SubmissionCounts counts_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace caracal

#endif  // CARACAL_JOBS_COORDINATOR_RPC_SUBMITTER_H_
