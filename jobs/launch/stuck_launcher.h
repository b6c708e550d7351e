// Tells when mpirun hangs while its ranks have ended: seen of Open MPI 4.1.4
// when a rank is killed as it starts.
#ifndef CARACAL_JOBS_LAUNCH_STUCK_LAUNCHER_H_
#define CARACAL_JOBS_LAUNCH_STUCK_LAUNCHER_H_

#include <optional>
#include <vector>

#include "absl/time/time.h"
#include "core/base/clock.h"

namespace caracal {

struct ChildProcess {
  int pid = 0;
  bool ended = false;  // and its parent has not asked for its status
};

// The children of a process that are there now; none without leave to look.
std::vector<ChildProcess> ChildrenOf(int pid);

// A launcher takes note of an ended child at once and ends itself after the
// last one. One that does not for `patience` is stuck. Not thread-safe.
class StuckLauncher {
 public:
  StuckLauncher(absl::Duration patience, Clock* clock)
      : patience_(patience), clock_(clock) {}

  // To be asked again and again while the launcher runs.
  bool Look(const std::vector<ChildProcess>& children);

 private:
  const absl::Duration patience_;
  Clock* const clock_;
  bool had_children_ = false;
  std::optional<absl::Duration> idle_since_;
};

}  // namespace caracal

#endif  // CARACAL_JOBS_LAUNCH_STUCK_LAUNCHER_H_
