// For tests: a clock that moves when told to.
#ifndef CARACAL_CORE_BASE_FAKE_CLOCK_H_
#define CARACAL_CORE_BASE_FAKE_CLOCK_H_

#include "absl/synchronization/mutex.h"
#include "core/base/clock.h"

namespace caracal {

// Thread-safe. Begins at Now() == 0 and at the start of 2000 UTC.
class FakeClock : public Clock {
 public:
  absl::Duration Now() override {
    absl::MutexLock lock(&mutex_);
    return now_;
  }
  absl::Time WallTime() override {
    absl::MutexLock lock(&mutex_);
    return wall_;
  }
  // Moves both clocks; `step` isn't negative.
  void Advance(absl::Duration step) {
    absl::MutexLock lock(&mutex_);
    now_ += step;
    wall_ += step;
  }
  // Lets the date jump; durations don't notice.
  void SetWallTime(absl::Time wall) {
    absl::MutexLock lock(&mutex_);
    wall_ = wall;
  }

 private:
  absl::Mutex mutex_;
  absl::Duration now_ ABSL_GUARDED_BY(mutex_) = absl::ZeroDuration();
  absl::Time wall_ ABSL_GUARDED_BY(mutex_) = absl::FromUnixSeconds(946684800);
};

}  // namespace caracal

#endif  // CARACAL_CORE_BASE_FAKE_CLOCK_H_
