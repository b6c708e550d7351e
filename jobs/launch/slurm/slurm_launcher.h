// Gangs as jobs of a Slurm cluster. They run as this process's user.
#ifndef CARACAL_JOBS_LAUNCH_SLURM_SLURM_LAUNCHER_H_
#define CARACAL_JOBS_LAUNCH_SLURM_SLURM_LAUNCHER_H_

#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/base/clock.h"
#include "jobs/launch/gang_folder.h"
#include "jobs/launch/gang_spec.h"
#include "jobs/launch/launcher.h"
#include "jobs/launch/slurm/command_runner.h"
#include "jobs/launch/slurm/slurm_gangs.h"
#include "jobs/launch/slurm/slurm_options.h"

namespace caracal {

struct SlurmLauncherOptions {
  // Holds a folder JOB-EPOCH for each gang (slurm_gang_folder.h), at the same
  // path on all nodes. Made if need be, for this user only. One launcher at a
  // time. Without % and \, which Slurm would replace.
  std::string gangs_folder;
  // For gangs that name no program, on all nodes. "": caracal-worker beside
  // this program.
  std::string worker = "";
  SlurmOptions slurm = {};
};

// One thread asks Slurm about all gangs, at an interval, and waits while Slurm
// does not answer: nothing is told, then.
//
// Stop: Slurm's job is sent SIGTERM, or is cancelled if it still waits. Kill:
// it is cancelled, which gives ranks the cluster's KillWait to save.
class SlurmLauncher : public Launcher {
 public:
  // `events` must outlive it. kInvalidArgument for options; kNotFound without
  // caracal-worker or a command of Slurm's; errors of the folder.
  static absl::StatusOr<std::unique_ptr<SlurmLauncher>> Open(
      const SlurmLauncherOptions& options, LauncherEvents* events);
  // A command of Slurm's that is under way is killed: as if this process had
  // been.
  ~SlurmLauncher() override;

  absl::Status Start(const GangSpec& spec) override;
  void Stop(GangId id) override;
  void Kill(GangId id) override;
  void Find(GangId id) override;

  GangFolder FolderOf(GangId id) const { return gangs_.FolderOf(id); }

 private:
  using Order = std::function<void(SlurmGangs&)>;

  SlurmLauncher(const SlurmGangsOptions& options,
                std::unique_ptr<CommandRunner> runner, LauncherEvents* events);
  void Push(Order order);
  void Run();

  Clock* const clock_ = Clock::Real();
  const std::unique_ptr<CommandRunner> runner_;
  SlurmGangs gangs_;  // of the thread, but for FolderOf

  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<Order> orders_;  // guarded by mutex_
  bool quit_ = false;          // likewise
  std::thread thread_;
};

}  // namespace caracal

#endif  // CARACAL_JOBS_LAUNCH_SLURM_SLURM_LAUNCHER_H_
