// Time behind an interface, so that tests decide what time it is.
#ifndef CARACAL_CORE_BASE_CLOCK_H_
#define CARACAL_CORE_BASE_CLOCK_H_

#include "absl/time/time.h"

namespace caracal {

// Thread-safe.
class Clock {
 public:
  virtual ~Clock() = default;

  // The machine's clocks; never destroyed.
  static Clock* Real();

  // Time since an unspecified start; never goes back. For durations and
  // deadlines.
  virtual absl::Duration Now() = 0;
  // The date, for people and records. May jump.
  virtual absl::Time WallTime() = 0;
};

}  // namespace caracal

#endif  // CARACAL_CORE_BASE_CLOCK_H_
