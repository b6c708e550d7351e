// For tests: a Slurm whose jobs go through states as they are told to.
#ifndef CARACAL_JOBS_LAUNCH_SLURM_TESTING_FAKE_SLURM_H_
#define CARACAL_JOBS_LAUNCH_SLURM_TESTING_FAKE_SLURM_H_

#include <set>
#include <string>
#include <vector>

#include "jobs/launch/slurm/command_runner.h"

namespace caracal {

// Answers sbatch, squeue, scancel and sacct. For one thread.
class FakeSlurm : public CommandRunner {
 public:
  // How sbatch fares.
  enum class Submission {
    kAccepted,
    kRefused,          // it says `refusal`, and ends with status 1
    kSilent,           // it gives no answer in time; the job is there
    kSilentlyRefused,  // likewise; it is not
    kGarbled,          // the job is there, and what is printed is no number
    kMissing,          // there is no such program
  };
  struct Job {
    std::string mark, name, folder;
    std::string state = "PENDING", reason = "None";
    bool is_forgotten = false;  // MinJobAge has passed
    int begun = 0;              // how often its ranks were started
  };

  absl::StatusOr<CommandResult> Run(const std::vector<std::string>& argv,
                                    absl::Duration limit) override;
  void Interrupt() override {}

  // The job that was submitted as the n-th, from 1.
  Job& job(int number) { return jobs.at(number - 1); }
  // Its script begins: claims the gang, or ends as FAILED.
  void Begin(int number);
  // The ranks end; the job is over.
  void Exit(int number, int status);
  // The number of commands of this name that came.
  int Count(const std::string& name) const;

  Submission submission = Submission::kAccepted;
  std::string refusal;
  bool is_away = false;       // slurmctld: squeue and scancel fail
  std::string squeue_output;  // if not "", what it prints
  // What sacct says: by default, that there is no accounting.
  absl::StatusOr<CommandResult> sacct = CommandResult{
      .exit_status = 1, .words = "Slurm accounting storage is disabled\n"};
  std::vector<Job> jobs;
  std::vector<std::vector<std::string>> commands;  // all that came
  // As if the launcher was killed at the command of this index: with
  // `lost_after`, when that had its effect. No later one has any.
  int lost_at = -1;
  bool lost_after = false;

 private:
  absl::StatusOr<CommandResult> Answer(const std::vector<std::string>& argv);
  absl::StatusOr<CommandResult> Submit(const std::vector<std::string>& argv);
  CommandResult List() const;
  void Cancel(const std::vector<std::string>& argv);
};

// The value of --name=value; "" when there is none.
std::string OptionOf(const std::vector<std::string>& argv,
                     const std::string& name);

}  // namespace caracal

#endif  // CARACAL_JOBS_LAUNCH_SLURM_TESTING_FAKE_SLURM_H_
