// A wall clock that shows another time than the kernel's, as one does whose
// callers have read it before it was set back. For tests: linked in, it stands
// in for the C library's clock_gettime().
#ifndef CARACAL_CORE_BASE_WALL_CLOCK_AHEAD_H_
#define CARACAL_CORE_BASE_WALL_CLOCK_AHEAD_H_

#include "absl/time/time.h"

namespace caracal {

// Of this process, while it lives; one at a time. Steady clocks are as ever.
class WallClockAhead {
 public:
  explicit WallClockAhead(absl::Duration by);
  ~WallClockAhead();
  WallClockAhead(const WallClockAhead&) = delete;
  WallClockAhead& operator=(const WallClockAhead&) = delete;
};

}  // namespace caracal

#endif  // CARACAL_CORE_BASE_WALL_CLOCK_AHEAD_H_
