// For tests: a clock that moves when told to.
#ifndef CARACAL_CORE_BASE_FAKE_CLOCK_H_
#define CARACAL_CORE_BASE_FAKE_CLOCK_H_

#include <mutex>

#include "core/base/clock.h"

namespace caracal {

// Thread-safe. Begins at Now() == 0 and at the start of 2000 UTC.
class FakeClock : public Clock {
 public:
  absl::Duration Now() override {
    const std::lock_guard<std::mutex> lock(mutex_);
    return now_;
  }
  absl::Time WallTime() override {
    const std::lock_guard<std::mutex> lock(mutex_);
    return wall_;
  }
  // Moves both clocks; `step` isn't negative.
  void Advance(absl::Duration step) {
    const std::lock_guard<std::mutex> lock(mutex_);
    now_ += step;
    wall_ += step;
  }
  // Lets the date jump; durations don't notice.
  void SetWallTime(absl::Time wall) {
    const std::lock_guard<std::mutex> lock(mutex_);
    wall_ = wall;
  }

 private:
  std::mutex mutex_;
  absl::Duration now_ = absl::ZeroDuration();
  absl::Time wall_ = absl::FromUnixSeconds(946684800);
};

}  // namespace caracal

#endif  // CARACAL_CORE_BASE_FAKE_CLOCK_H_
