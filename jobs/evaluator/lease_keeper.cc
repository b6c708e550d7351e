#include "jobs/evaluator/lease_keeper.h"

#include <algorithm>
#include <utility>

#include "core/base/clock.h"

namespace caracal {
namespace {

// How soon a signal is noticed.
constexpr absl::Duration kLook = absl::Milliseconds(20);
// After a renewal that failed: the coordinator may be back in a moment.
constexpr absl::Duration kTryAgain = absl::Seconds(1);

}  // namespace

LeaseKeeper::LeaseKeeper(LeaseKeeperOptions options)
    : options_(std::move(options)), thread_([this] { Run(); }) {}

void LeaseKeeper::End() {
  {
    const std::lock_guard lock(mutex_);
    ending_ = true;
  }
  changed_.notify_all();
  if (thread_.joinable()) thread_.join();
}

void LeaseKeeper::Run() {
  Clock* const clock = Clock::Real();
  const absl::Duration interval = options_.lease / 3;
  absl::Duration next = clock->Now() + interval;
  while (true) {
    {
      std::unique_lock lock(mutex_);
      changed_.wait_for(lock, absl::ToChronoMilliseconds(kLook),
                        [this] { return ending_; });
      if (ending_) return;
    }
    if (options_.stop != nullptr && *options_.stop) {
      *options_.lost = true;
      // If nobody hears it, the lease runs out.
      options_.give_back().IgnoreError();
      return;
    }
    if (clock->Now() < next) continue;
    const absl::Status renewed = options_.renew();
    if (absl::IsAborted(renewed) || absl::IsNotFound(renewed)) {
      *options_.lost = true;
      return;
    }
    next = clock->Now() +
           (renewed.ok() ? interval : std::min(interval, kTryAgain));
  }
}

}  // namespace caracal
