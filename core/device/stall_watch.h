// Tells when a thread does not come back from what it does with a device: a
// launch blocks once a stream that stands still has some thousand of them.
#ifndef CARACAL_CORE_DEVICE_STALL_WATCH_H_
#define CARACAL_CORE_DEVICE_STALL_WATCH_H_

#include <functional>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "core/base/steady_condition.h"

namespace caracal {

// Begin() and End() are one thread's.
class StallWatch {
 public:
  // `stalled` is called once at most, by another thread, when a Begin() is
  // followed by neither call within `limit`; the destructor waits for it.
  StallWatch(absl::Duration limit, std::function<void()> stalled);
  StallWatch(const StallWatch&) = delete;
  StallWatch& operator=(const StallWatch&) = delete;
  ~StallWatch();

  void Begin();
  void End();

 private:
  void Run();

  const absl::Duration limit_;
  const std::function<void()> stalled_;

  absl::Mutex mutex_;
  SteadyCondition changed_;
  // By the steady clock; infinite: nothing has begun.
  absl::Duration deadline_ ABSL_GUARDED_BY(mutex_) = absl::InfiniteDuration();
  bool idle_ ABSL_GUARDED_BY(mutex_) = false;  // the thread waits for Begin()
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;

  std::thread thread_;  // last: it uses all of the above
};

}  // namespace caracal

#endif  // CARACAL_CORE_DEVICE_STALL_WATCH_H_
