// What a site's Slurm wants to be told of gangs, beside what they run.
#ifndef CARACAL_JOBS_LAUNCH_SLURM_SLURM_OPTIONS_H_
#define CARACAL_JOBS_LAUNCH_SLURM_SLURM_OPTIONS_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"

namespace caracal {

struct SlurmOptions {
  // Of every gang that does not ask for something else, as sbatch's options of
  // these names have them. "": Slurm's own choice.
  std::string partition = "";
  std::string account = "";
  std::string qos = "";
  std::string gres = "";    // gpu:8
  std::string memory = "";  // of a node: 64G
  // Whole minutes. Zero: the partition's limit. At it a gang is asked to save,
  // and a new one goes on.
  absl::Duration time_limit = absl::ZeroDuration();
  // More of sbatch's options: --name=value or --name, in full. Not those by
  // which a gang is known and found again.
  std::vector<std::string> more = {};

  // A gang is asked to save this long before its time limit, or up to a minute
  // earlier: Slurm does not look more often. Whole seconds, up to 18 hours.
  absl::Duration save_before_limit = absl::Seconds(120);
  // How srun starts ranks: `srun --mpi=`.
  std::string mpi = "pmix";

  // How often Slurm is asked about all gangs. It serves others, too.
  absl::Duration poll_interval = absl::Seconds(5);
  // What a command of Slurm's may take before it is given up.
  absl::Duration command_limit = absl::Seconds(60);
  // How long a gang that Slurm does not have any more, or says has ended, may
  // take to show how in its folder, which is on a network.
  absl::Duration grace = absl::Seconds(60);
};

// The least time limit of a gang that is asked to save so long before it:
// Slurm may ask up to a minute early, and less than another one is no time to
// get anywhere in, and gangs would follow each other for ever.
absl::Duration LeastTimeLimit(absl::Duration save_before_limit);

// kInvalidArgument naming the option and what it may be.
absl::Status CheckSlurmOptions(const SlurmOptions& options);

// As sbatch takes them. What a gang asks for itself, `of_gang` (--name=value),
// counts instead of options of the same name.
std::vector<std::string> SbatchOptions(
    const SlurmOptions& options, const std::vector<std::string>& of_gang = {});

}  // namespace caracal

#endif  // CARACAL_JOBS_LAUNCH_SLURM_SLURM_OPTIONS_H_
