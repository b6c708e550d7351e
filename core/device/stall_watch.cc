#include "core/device/stall_watch.h"

#include <utility>

#include "core/base/clock.h"

namespace caracal {

StallWatch::StallWatch(absl::Duration limit, std::function<void()> stalled)
    : limit_(limit), stalled_(std::move(stalled)), thread_([this] { Run(); }) {}

StallWatch::~StallWatch() {
  {
    absl::MutexLock lock(&mutex_);
    stopping_ = true;
    changed_.NotifyAll();
  }
  thread_.join();
}

void StallWatch::Begin() {
  absl::MutexLock lock(&mutex_);
  deadline_ = Clock::Real()->Now() + limit_;
  if (std::exchange(idle_, false)) changed_.NotifyAll();
}

// The thread finds out at the deadline there was.
void StallWatch::End() {
  absl::MutexLock lock(&mutex_);
  deadline_ = absl::InfiniteDuration();
}

void StallWatch::Run() {
  {
    absl::MutexLock lock(&mutex_);
    while (!stopping_) {
      const absl::Duration left = deadline_ - Clock::Real()->Now();
      if (left <= absl::ZeroDuration()) break;
      idle_ = deadline_ == absl::InfiniteDuration();
      changed_.WaitFor(&mutex_, left, [this, idle = idle_] {
        mutex_.AssertHeld();
        return stopping_ || idle_ != idle;
      });
    }
    if (stopping_) return;
  }
  stalled_();
}

}  // namespace caracal
