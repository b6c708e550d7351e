// The gang of a coordinator that lives in the process which trains: that
// process runs it, by itself or as its children, when it is told to.
#ifndef CARACAL_JOBS_LAUNCH_FOREGROUND_LAUNCHER_H_
#define CARACAL_JOBS_LAUNCH_FOREGROUND_LAUNCHER_H_

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "core/base/steady_condition.h"
#include "jobs/launch/gang_folder.h"
#include "jobs/launch/gang_spec.h"
#include "jobs/launch/launcher.h"

namespace caracal {

// Runs one gang in its life, which ends with this process. What else it is told
// to start is refused; what it is told to find, and does not run, was another
// process's, and ended with that.
//
// Events come on the threads that call, but for the end of the gang, which
// comes on the thread of who ran it; none with a lock held.
class ForegroundLauncher : public Launcher {
 public:
  // `gangs_folder` has a folder for each gang (gang_folder.h), and no other
  // launcher. `stop` asks the gang to save and end, at any time from its start
  // on, again and again, on any thread. `events` outlives it.
  ForegroundLauncher(std::string gangs_folder, std::function<void()> stop,
                     LauncherEvents* events)
      : gangs_folder_(std::move(gangs_folder)),
        stop_(std::move(stop)),
        events_(events) {}

  absl::Status Start(const GangSpec& spec) override;
  void Stop(GangId id) override;
  // As Stop: a thread can't be ended from outside.
  void Kill(GangId id) override { Stop(id); }
  void Find(GangId id) override;

  // From now on gangs may be started; until then all are refused.
  void Open();
  // The job's gang, from when it was started: to be run now, by who calls. None
  // when it was not within `patience`. Gangs of other jobs are refused from now
  // on.
  std::optional<GangId> Await(JobId job, absl::Duration patience);
  // It has ended. After Await(), once.
  void Ended(GangEnd end, const std::string& reason);

  GangFolder FolderOf(GangId id) const;

 private:
  void Refuse(GangId id);

  const std::string gangs_folder_;
  const std::function<void()> stop_;
  LauncherEvents* const events_;
  absl::Mutex mutex_;
  bool open_ ABSL_GUARDED_BY(mutex_) = false;
  bool over_ ABSL_GUARDED_BY(mutex_) = false;         // it runs no more
  std::optional<JobId> job_ ABSL_GUARDED_BY(mutex_);  // the one to be run
  // Started; from Await() on, the one that runs.
  std::vector<GangId> started_ ABSL_GUARDED_BY(mutex_);
  SteadyCondition changed_;  // started_
};

}  // namespace caracal

#endif  // CARACAL_JOBS_LAUNCH_FOREGROUND_LAUNCHER_H_
