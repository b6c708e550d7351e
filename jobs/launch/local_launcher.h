// Gangs on this machine: a caracal-gang each, which goes on without us.
#ifndef CARACAL_JOBS_LAUNCH_LOCAL_LAUNCHER_H_
#define CARACAL_JOBS_LAUNCH_LOCAL_LAUNCHER_H_

#include <sys/types.h>

#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "core/base/clock.h"
#include "jobs/launch/descriptor.h"
#include "jobs/launch/gang_folder.h"
#include "jobs/launch/gang_spec.h"
#include "jobs/launch/launcher.h"

namespace caracal {

struct LocalLauncherOptions {
  // Holds a folder JOB-EPOCH for each gang (gang_folder.h). Made if need be,
  // for this user only. One launcher at a time.
  std::string gangs_folder;
  std::string gang_program = "";  // "": caracal-gang beside this program
  // How long a supervisor that is told to kill its gang may take, before it is
  // killed itself.
  absl::Duration kill_patience = absl::Seconds(10);
};

// One thread watches all gangs, by pidfd. A process is only ever signalled by a
// pidfd that the lock has shown to be the gang's supervisor, both before and
// after it was opened.
class LocalLauncher : public Launcher {
 public:
  // `events` must outlive it. kNotFound without caracal-gang; errors of the
  // folder.
  static absl::StatusOr<std::unique_ptr<LocalLauncher>> Open(
      const LocalLauncherOptions& options, LauncherEvents* events);
  ~LocalLauncher() override;

  absl::Status Start(const GangSpec& spec) override;
  void Stop(GangId id) override;
  void Kill(GangId id) override;
  void Find(GangId id) override;

  GangFolder FolderOf(GangId id) const;

 private:
  struct Order;
  struct Watched;

  LocalLauncher(const LocalLauncherOptions& options, LauncherEvents* events,
                Descriptor wake);
  void Push(Order order);
  void Run();
  void Obey(const Order& order);
  // Until there is an order, or something to be done for a gang.
  void Wait();
  // What has become of it. True when there is no more to watch.
  bool Advance(GangId id, Watched& gang);
  void Spawn(Watched& gang);
  // Likewise, by its folder.
  bool Look(GangId id, Watched& gang);
  // Sends what was ordered.
  void Signal(Watched& gang);
  // If it has not ended when patience has, it is killed.
  void ForceSoon(Watched& gang);
  bool Ended(GangId id, GangEnd end, const std::string& reason);

  const LocalLauncherOptions options_;
  LauncherEvents* const events_;
  Clock* const clock_ = Clock::Real();
  const Descriptor wake_;  // an eventfd

  std::mutex mutex_;
  std::vector<Order> orders_;  // guarded by mutex_
  bool quit_ = false;          // likewise

  std::map<GangId, std::unique_ptr<Watched>> watched_;  // of the thread
  std::thread thread_;
};

}  // namespace caracal

#endif  // CARACAL_JOBS_LAUNCH_LOCAL_LAUNCHER_H_
