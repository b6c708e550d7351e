// How often each caller may call: a bucket of tokens each, filled at a steady
// rate.
#ifndef CARACAL_JOBS_COORDINATOR_ACCESS_RATE_LIMIT_H_
#define CARACAL_JOBS_COORDINATOR_ACCESS_RATE_LIMIT_H_

#include <map>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "core/base/clock.h"

namespace caracal {

// Thread-safe.
class RateLimit {
 public:
  // Calls a second of each caller; twice as many (at least one) at once after a
  // pause. 0: no limit.
  RateLimit(double per_second, Clock* clock)
      : per_second_(per_second), clock_(clock) {}

  // Zero when this call may go on; else it may not, and may be made again after
  // so long.
  absl::Duration Take(absl::string_view caller);

 private:
  struct Bucket {
    double full;  // calls
    absl::Duration when;
  };
  double most() const { return per_second_ < 0.5 ? 1 : 2 * per_second_; }
  double FullNow(const Bucket& bucket, absl::Duration now) const;
  // Buckets that are full again say nothing.
  void Forget(absl::Duration now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const double per_second_;
  Clock* const clock_;
  absl::Mutex mutex_;
  std::map<std::string, Bucket, std::less<>> buckets_ ABSL_GUARDED_BY(mutex_);
  size_t forget_at_ ABSL_GUARDED_BY(mutex_) = 1024;
};

}  // namespace caracal

#endif  // CARACAL_JOBS_COORDINATOR_ACCESS_RATE_LIMIT_H_
