// What becomes of gangs under Slurm, looked at now and then: orders and answers
// of sbatch, squeue and scancel in, events out.
#ifndef CARACAL_JOBS_LAUNCH_SLURM_SLURM_GANGS_H_
#define CARACAL_JOBS_LAUNCH_SLURM_SLURM_GANGS_H_

#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "core/base/clock.h"
#include "jobs/launch/gang_folder.h"
#include "jobs/launch/gang_spec.h"
#include "jobs/launch/launcher.h"
#include "jobs/launch/slurm/command_runner.h"
#include "jobs/launch/slurm/sacct.h"
#include "jobs/launch/slurm/slurm_options.h"
#include "jobs/launch/slurm/squeue.h"

namespace caracal {

struct SlurmGangsOptions {
  std::string gangs_folder;       // absolute, as the nodes see it; exists
  std::string worker;             // for gangs that name no program; absolute
  std::string working_directory;  // for gangs that name none; absolute
  SlurmOptions slurm;             // checked
};

// The rules:
// - A gang is submitted by one sbatch, or by none. Whatever Slurm starts has to
//   claim the gang in its folder, and so has who wants to be sure that none
//   will (gang_folder.h). So it doesn't matter what became of an sbatch that
//   gave no answer, or of a launcher that was killed.
// - A Slurm job is a gang's by its mark, not by its number.
// - A command that fails says nothing: a gang is gone when squeue answers, and
//   does not name it, or names it as ended.
// - How it ended is what its folder tells (slurm_gang_folder.h); when that
//   tells nothing for a while, what Slurm does: squeue, or, of a job that it
//   has forgotten, the accounting, if there is one. That holds for one that was
//   to be killed, too: it may be silent because of how Slurm ended it.
//
// For one thread, but for FolderOf and Create.
class SlurmGangs {
 public:
  // All must outlive it.
  SlurmGangs(const SlurmGangsOptions& options, CommandRunner* runner,
             Clock* clock, LauncherEvents* events);

  GangFolder FolderOf(GangId id) const;

  // The orders; they wait for no gang, but for commands of Slurm's. `created`
  // is what FolderOf(spec.id).Create() has given, not kAlreadyExists.
  void Start(const GangSpec& spec, const absl::Status& created);
  void Stop(GangId id);
  void Kill(GangId id);
  void Find(GangId id);

  // Looks at all gangs if it is time to, and tells what there is to tell.
  void Round();
  // When Round is next of use, by the clock's Now().
  absl::Duration NextRound() const;

 private:
  struct Gang {
    explicit Gang(GangFolder its_folder) : folder(std::move(its_folder)) {}
    GangFolder folder;
    std::string mark;  // "": its folder has not been looked at
    bool stop = false, kill = false, tell_found = false, waited = false;
    bool was_cancelled = false;  // scancel was told to end it
    // Of one that is not there, and of which nothing else is known.
    GangEnd missing_end = GangEnd::kLost;
    std::string missing_reason = kNoTrace;
    // Of which it is known that it is not submitted.
    bool was_refused = false;
    // Since when there is nothing of it but for its folder.
    std::optional<absl::Duration> missing_since;
  };
  using Jobs = std::map<std::string, SlurmJob>;
  // Numbers of jobs that orders are to be sent to, and of those that only the
  // accounting may know.
  struct Orders {
    std::vector<std::string> stop, kill;
    std::map<GangId, std::string> forgotten;
  };
  using Records = std::map<GangId, SlurmRecord>;

  Gang& GangOf(GangId id);
  // Errors say that Slurm gives no answer, or none that can be read.
  absl::StatusOr<Jobs> Ask();
  void Submit(const GangSpec& spec, Gang& gang);
  // srun's: of the ranks, and of the one that comes afterwards.
  std::vector<std::string> RanksCommand(const GangSpec& spec) const;
  std::vector<std::string> AfterwardsCommand(const GangSpec& spec) const;
  std::vector<std::string> RankCommand(
      const GangSpec& spec, const std::vector<std::string>& arguments) const;
  // These return true when the gang's end was told.
  bool LookAtFolder(GangId id, Gang& gang);
  bool Advance(GangId id, Gang& gang, const SlurmJob* job, Orders* orders);
  // No process of it is there, and maybe there will be one.
  bool AdvanceMissing(GangId id, Gang& gang, const SlurmJob* job,
                      Orders* orders);
  bool AdvanceNeverBegun(GangId id, Gang& gang, const SlurmJob* job);
  // By the status of its ranks, if there is one to be had.
  bool AdvanceByStatus(GangId id, Gang& gang, const SlurmJob* job);
  // By the exit status of its ranks.
  bool EndByStatus(GangId id, Gang& gang, int exit_status, const SlurmJob* job);
  // By how Slurm has it, which has ended it.
  bool EndByState(GangId id, Gang& gang, const SlurmJob& job);
  // Of those that squeue does not know any more, and that left no word.
  void AdvanceForgotten(const std::map<GangId, std::string>& numbers);
  bool EndForgotten(GangId id, Gang& gang, const SlurmRecord* record);
  // What the accounting has of them. Errors say that it gives no answer.
  absl::StatusOr<Records> AskAccounting(
      const std::map<GangId, std::string>& numbers);
  bool End(GangId id, Gang& gang, GangEnd end, const std::string& reason);
  void Send(const Orders& orders);

  const SlurmGangsOptions options_;
  CommandRunner* const runner_;
  Clock* const clock_;
  LauncherEvents* const events_;
  std::map<GangId, Gang> gangs_;
  absl::Duration last_poll_ = -absl::InfiniteDuration();
  bool hurry_ = false;          // there are new orders
  bool is_silent_ = false;      // Slurm, when it was last asked
  bool has_accounting_ = true;  // as far as is known
};

}  // namespace caracal

#endif  // CARACAL_JOBS_LAUNCH_SLURM_SLURM_GANGS_H_
