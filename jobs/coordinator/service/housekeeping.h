// Removes what is of no more use: old events, and the folders of gangs that
// have ended.
#ifndef CARACAL_JOBS_COORDINATOR_SERVICE_HOUSEKEEPING_H_
#define CARACAL_JOBS_COORDINATOR_SERVICE_HOUSEKEEPING_H_

#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "core/base/clock.h"
#include "core/base/steady_condition.h"
#include "jobs/coordinator/engine/coordinator.h"
#include "jobs/coordinator/service/data_folder.h"

namespace caracal {

struct HousekeepingOptions {
  // Of jobs that have ended, after so long. Changes of state stay.
  absl::Duration keep_events = absl::InfiniteDuration();
  absl::Duration keep_gangs = absl::InfiniteDuration();
  // What goes at a time, so that nobody waits for it.
  int64_t events = 500;
  int64_t gangs = 16;
  absl::Duration pause = absl::Milliseconds(20);  // between two batches
  absl::Duration interval = absl::Minutes(10);    // when all is done
  // Run first, each time, on the same thread. How long until it has something
  // to do again, if that is sooner.
  std::function<absl::Duration()> also = nullptr;
};

// On a thread of its own. What jobs leave that are forgotten goes in any case.
// Thread-safe.
class Housekeeping {
 public:
  // All outlive it.
  Housekeeping(HousekeepingOptions options, const DataFolder* folder,
               Coordinator* coordinator, Clock* clock);
  // Ends soon: what is left is found the next time.
  ~Housekeeping();

  // Looks now: a job was forgotten.
  void Wake();

 private:
  void Run();
  // False when it is to end.
  bool Pause(absl::Duration most);
  void RemoveEvents();
  void RemoveGangs();
  // How many of the job's events went; none when it is to end.
  int64_t RemoveEventsOf(JobId job);

  const HousekeepingOptions options_;
  const DataFolder* const folder_;
  Coordinator* const coordinator_;
  Clock* const clock_;
  absl::Mutex mutex_;
  bool awake_ ABSL_GUARDED_BY(mutex_) = false;
  bool ending_ ABSL_GUARDED_BY(mutex_) = false;
  SteadyCondition changed_;
  std::thread thread_;
};

}  // namespace caracal

#endif  // CARACAL_JOBS_COORDINATOR_SERVICE_HOUSEKEEPING_H_
