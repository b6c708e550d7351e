// Starts gangs and tells how they end: what the coordinator asks of a machine
// or a cluster.
#ifndef CARACAL_JOBS_LAUNCH_LAUNCHER_H_
#define CARACAL_JOBS_LAUNCH_LAUNCHER_H_

#include <string>

#include "absl/status/status.h"
#include "jobs/coordinator/state/job_record.h"
#include "jobs/launch/gang_spec.h"

namespace caracal {

// Called from the launcher's own thread, one at a time, with no lock held: may
// call the launcher. What takes long here delays all gangs.
class LauncherEvents {
 public:
  virtual ~LauncherEvents() = default;
  // After Find(), or after it waited: the gang runs. May come twice.
  virtual void GangFound(GangId id) = 0;
  // It was handed to a cluster, and nothing of it runs yet, for the reason that
  // the cluster gives. Comes again and again as long as that is so, be it for
  // days.
  virtual void GangWaits(GangId id, const std::string& reason) {
    (void)id, (void)reason;
  }
  // The cluster does not answer, for this reason: nothing is told of any gang
  // until it does, which is told as "" before that.
  virtual void ClusterSilent(const std::string& reason) { (void)reason; }
  // Something of no one gang that whoever looks after the launcher is to know.
  virtual void Note(const std::string& words) { (void)words; }
  // No process of it is left, or it never had one; and it never will. May come
  // twice, when it was asked for again.
  virtual void GangEnded(GangId id, GangEnd end, const std::string& reason) = 0;
};

// Why a gang ended that a launcher knows nothing of.
inline constexpr char kNoTrace[] =
    "no trace of its gang is there: it was never started, or its folder is "
    "gone";

// Gangs outlive their launcher. Thread-safe; no call waits for a gang, and
// what comes of it is told by LauncherEvents. The orders for a gang are carried
// out in the order of the calls.
class Launcher {
 public:
  // No event comes after it.
  virtual ~Launcher() = default;

  // A gang is started once: kAlreadyExists, and no event, when a gang of this
  // id was ever started, found missing or killed. Any other failure is told as
  // GangEnded: kLost when it may pass.
  virtual absl::Status Start(const GangSpec& spec) = 0;
  // Asks it to save and end. It may take its time, or not listen. Again and
  // again is the same as once.
  virtual void Stop(GangId id) = 0;
  // Ends it without asking.
  virtual void Kill(GangId id) = 0;
  // Whether it is there, or how it ended: GangFound, GangWaits or GangEnded.
  // One that was never started never will be. From then on its end is told,
  // too.
  virtual void Find(GangId id) = 0;
};

}  // namespace caracal

#endif  // CARACAL_JOBS_LAUNCH_LAUNCHER_H_
