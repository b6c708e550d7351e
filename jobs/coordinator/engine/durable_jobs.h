// The jobs as the store has them: what is shown to whoever asks.
#ifndef CARACAL_JOBS_COORDINATOR_ENGINE_DURABLE_JOBS_H_
#define CARACAL_JOBS_COORDINATOR_ENGINE_DURABLE_JOBS_H_

#include <array>
#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "jobs/coordinator/state/job_counts.h"
#include "jobs/coordinator/state/job_record.h"

namespace caracal {

struct JobFilter {
  std::string owner;                   // "": all
  std::optional<JobState> state = {};  // none: all
};

// A page of jobs, the newest first.
struct JobPage {
  std::vector<JobRecord> jobs;
  JobId next = 0;  // where the next page begins; 0: there is none
};

// How many there are, and which have gangs.
struct JobFigures {
  struct Holder {
    JobId id = 0;
    std::string name;
    JobProgress progress;
    absl::Time changed;  // its state
  };
  std::array<int64_t, kJobStates> jobs = {};  // by state
  int64_t used_slots = 0;
  std::vector<Holder> holders = {};  // of slots, by id
};

// The state machine is ahead of the disk while a change is written, and for as
// long as the disk is full: a job that it has cancelled would be seen to run
// again after a restart. So it is this copy that is read. Texts of jobs are
// shared with the other (SharedText).
//
// Thread-safe; takes no other lock.
class DurableJobs {
 public:
  // These are durable.
  void Save(std::vector<JobRecord> jobs);
  void Remove(const std::vector<JobId>& jobs);
  // Of a job that is there, at once: progress is stored with the next change of
  // its job, and lost with a coordinator that is killed before.
  void SetProgress(JobId id, const JobProgress& progress);

  std::optional<JobRecord> Get(JobId id) const;
  // At most `limit` from job `from` downwards; 0: from the newest.
  JobPage List(const JobFilter& filter, JobId from, int64_t limit) const;
  // In time linear in the jobs that hold slots.
  JobFigures Figures() const;
  // At most `limit` jobs after `after`, by id, that have ended before `when`.
  std::vector<JobId> EndedBefore(absl::Time when, JobId after,
                                 int64_t limit) const;

 private:
  // std::, which ThreadSanitizer sees through. Guards all below.
  mutable std::mutex mutex_;
  std::map<JobId, JobRecord> jobs_;
  JobCounts counts_;
};

}  // namespace caracal

#endif  // CARACAL_JOBS_COORDINATOR_ENGINE_DURABLE_JOBS_H_
