#include "core/base/wall_clock_ahead.h"

#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>

namespace caracal {
namespace {

std::atomic<int64_t> ahead_seconds{0};

}  // namespace

WallClockAhead::WallClockAhead(absl::Duration by) {
  ahead_seconds = absl::ToInt64Seconds(by);
}

WallClockAhead::~WallClockAhead() { ahead_seconds = 0; }

}  // namespace caracal

extern "C" int clock_gettime(clockid_t clock, timespec* time) noexcept {
  const int status = static_cast<int>(syscall(SYS_clock_gettime, clock, time));
  if (status == 0 && clock == CLOCK_REALTIME) {
    time->tv_sec += caracal::ahead_seconds;
  }
  return status;
}
