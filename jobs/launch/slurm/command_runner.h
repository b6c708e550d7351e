// Runs a command of Slurm's and waits for what it says. No shell is involved.
#ifndef CARACAL_JOBS_LAUNCH_SLURM_COMMAND_RUNNER_H_
#define CARACAL_JOBS_LAUNCH_SLURM_COMMAND_RUNNER_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace caracal {

struct CommandResult {
  int exit_status = 0;
  std::string output = "";  // standard output
  std::string words = "";   // standard error
};

class CommandRunner {
 public:
  virtual ~CommandRunner() = default;
  // `argv[0]` is looked for in PATH. An exit status other than 0 is a result.
  // kNotFound: no such program. kDeadlineExceeded: it was killed after
  // `limit`; kAborted: by a signal; kUnavailable: it could not be started.
  // Each of these but the first leaves open what the command has done.
  // kCancelled: after Interrupt().
  virtual absl::StatusOr<CommandResult> Run(
      const std::vector<std::string>& argv, absl::Duration limit) = 0;
  // From any thread: a command that runs is killed, and no other one starts.
  virtual void Interrupt() = 0;
};

// Runs them on this machine, one at a time, with nothing to read and none of
// the SLURM_* and SBATCH_* variables (but SLURM_CONF) that this process has
// when it is a job of Slurm's itself: they would be taken for options.
// What it prints is kept up to 64 MiB. The errors of making it are those of
// pipe2().
absl::StatusOr<std::unique_ptr<CommandRunner>> MakeCommandRunner();

}  // namespace caracal

#endif  // CARACAL_JOBS_LAUNCH_SLURM_COMMAND_RUNNER_H_
