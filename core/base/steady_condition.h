// Waiting for what another thread does, at most for some time.
#ifndef CARACAL_CORE_BASE_STEADY_CONDITION_H_
#define CARACAL_CORE_BASE_STEADY_CONDITION_H_

#include <algorithm>
#include <chrono>
#include <condition_variable>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

namespace caracal {

// By the steady clock. The time-outs of absl::Mutex and absl::Notification end
// at a date (Abseil 20220623): whoever sets the clock back by an hour makes
// them an hour longer. Whoever changes what is waited for says so (NotifyAll),
// with the mutex or after it.
class SteadyCondition {
 public:
  void NotifyAll() { condition_.notify_all(); }

  // Until `ready()`, which is called with the mutex held, as the caller holds
  // it, or for so long. What `ready()` says then.
  template <typename Ready>
  bool WaitFor(absl::Mutex* mutex, absl::Duration patience, Ready ready)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex) {
    Lock lock{mutex};
    const auto most = std::clamp(patience, absl::ZeroDuration(), kLongest);
    return condition_.wait_for(lock, absl::ToChronoNanoseconds(most), ready);
  }

 private:
  static constexpr absl::Duration kLongest = absl::Hours(24 * 365);

  struct Lock {
    absl::Mutex* mutex;
    void lock() ABSL_NO_THREAD_SAFETY_ANALYSIS { mutex->Lock(); }
    void unlock() ABSL_NO_THREAD_SAFETY_ANALYSIS { mutex->Unlock(); }
  };

  std::condition_variable_any condition_;
};

// absl::Notification, with waits by the steady clock.
class SteadyNotification {
 public:
  // May be called again.
  void Notify() {
    absl::MutexLock lock(&mutex_);
    notified_ = true;
    condition_.NotifyAll();
  }
  // Whether it was notified within `patience`.
  bool WaitFor(absl::Duration patience) {
    absl::MutexLock lock(&mutex_);
    return condition_.WaitFor(&mutex_, patience, [this] { return notified_; });
  }

 private:
  absl::Mutex mutex_;
  bool notified_ ABSL_GUARDED_BY(mutex_) = false;
  SteadyCondition condition_;
};

}  // namespace caracal

#endif  // CARACAL_CORE_BASE_STEADY_CONDITION_H_
