#include "core/base/clock.h"

#include <chrono>

#include "absl/time/clock.h"

namespace caracal {
namespace {

class RealClock : public Clock {
 public:
  absl::Duration Now() override {
    return absl::FromChrono(
        std::chrono::steady_clock::now().time_since_epoch());
  }
  absl::Time WallTime() override { return absl::Now(); }
};

}  // namespace

Clock* Clock::Real() {
  static RealClock* const clock = new RealClock;
  return clock;
}

}  // namespace caracal
