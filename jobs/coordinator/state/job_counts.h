// How many jobs are in which state, and who holds slots.
#ifndef CARACAL_JOBS_COORDINATOR_STATE_JOB_COUNTS_H_
#define CARACAL_JOBS_COORDINATOR_STATE_JOB_COUNTS_H_

#include <array>
#include <cstdint>
#include <set>

#include "jobs/coordinator/state/job_record.h"

namespace caracal {

// Kept as jobs enter and leave states, so that nobody counts them anew. Not
// thread-safe.
class JobCounts {
 public:
  // As the job enters its state (1), or leaves it (-1).
  void Count(const JobRecord& job, int64_t by) {
    by_state_[static_cast<int>(job.state)] += by;
    if (!HoldsSlots(job.state)) return;
    used_slots_ += by * job.request.slots;
    if (by > 0) {
      holders_.insert(job.id);
    } else {
      holders_.erase(job.id);
    }
  }

  const std::array<int64_t, kJobStates>& by_state() const { return by_state_; }
  int64_t used_slots() const { return used_slots_; }
  // Those that hold slots.
  const std::set<JobId>& holders() const { return holders_; }
  bool operator==(const JobCounts&) const = default;

 private:
  std::array<int64_t, kJobStates> by_state_ = {};
  int64_t used_slots_ = 0;
  std::set<JobId> holders_;
};

}  // namespace caracal

#endif  // CARACAL_JOBS_COORDINATOR_STATE_JOB_COUNTS_H_
