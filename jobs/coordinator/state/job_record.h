// What the coordinator knows of a job, and the store keeps of it.
#ifndef CARACAL_JOBS_COORDINATOR_STATE_JOB_RECORD_H_
#define CARACAL_JOBS_COORDINATOR_STATE_JOB_RECORD_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "jobs/coordinator/state/job_state.h"
#include "jobs/coordinator/state/shared_text.h"
#include "jobs/curriculum/director.h"

namespace caracal {

using JobId = uint64_t;  // from 1, in the order of submission

struct JobRequest {
  std::string name = "";
  std::string owner = "";            // who submitted it
  SharedText spec = {};              // the job: job_spec.h
  int64_t priority = 0;              // higher goes first
  int64_t slots = 1;                 // that its gang takes: ranks
  std::vector<JobId> after = {};     // starts when all of these have succeeded
  int64_t max_retries = 3;           // in a row, without a step between them
  std::string idempotency_key = "";  // "": none
  bool operator==(const JobRequest&) const = default;
};

// How a gang ended.
enum class GangEnd {
  kDone,     // the job is done
  kStopped,  // saved what it had and ended, as it was asked to
  kLost,     // an error that may pass, or a process that died
  kFailed,   // an error that would come again
  // Had less than it needs: comes again, whatever else happened to the gang.
  kOutOfMemory,
};
inline constexpr std::array<const char*, 5> kGangEnds = {
    "done", "stopped", "lost", "failed", "out_of_memory"};
inline const char* NameOf(GangEnd end) {
  return kGangEnds[static_cast<size_t>(end)];
}

struct JobProgress {
  std::string stage;
  int64_t global_step = 0;
  int64_t total_steps = 0;
  bool operator==(const JobProgress&) const = default;
};

struct JobRecord {
  JobId id = 0;
  JobRequest request;
  JobState state = JobState::kQueued;
  // Counts its gangs. What carries an older one's number is refused.
  uint64_t epoch = 0;
  std::vector<JobId> waits_for;  // of `after`, those that had not succeeded
  int64_t retries = 0;           // since a gang last took a step
  int64_t step_at_start = 0;     // global step when its gang was started
  absl::Time submitted, changed;
  absl::Time not_before = absl::InfinitePast();  // of kRetrying, kPreempted
  std::string reason;                            // of the state, for people
  // What its gang's end will count as, once it is known to have ended: it was
  // given up.
  std::optional<GangEnd> given_up;
  JobProgress progress;
  int64_t lines = 0;     // of metrics, that its gang has sent so far
  Tuning tuning;         // of its curricula, by people
  uint64_t tunings = 0;  // how often it was set
  std::vector<std::string> hosts = {};  // of its last gang's ranks, in order
  // Idempotency keys of the last changes that people asked for, the newest
  // last: "cancel KEY", ...
  std::vector<std::string> change_keys = {};
};

}  // namespace caracal

#endif  // CARACAL_JOBS_COORDINATOR_STATE_JOB_RECORD_H_
