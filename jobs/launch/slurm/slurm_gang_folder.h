// What the folder of a gang (gang_folder.h) holds besides when Slurm runs it.
// It may be on a network: nothing is locked here.
//
//   mark        by which its Slurm job is known: the job's comment, of chance.
//               Durable, with the next three, before anything is submitted
//   command     of the ranks: arguments, each with a zero byte at its end
//   afterwards  likewise, of the one rank that runs when they are done;
//               empty: nothing does
//   batch.sh    batch_script.h
//   claim       as gang_folder.h has it, but by the batch script, with the
//               number of its Slurm job
//   status      how the ranks ended, by the batch script: "exit 85"
//   end.json    how the gang ended, by the launcher: once it is there, that is
//               what is told
#ifndef CARACAL_JOBS_LAUNCH_SLURM_SLURM_GANG_FOLDER_H_
#define CARACAL_JOBS_LAUNCH_SLURM_SLURM_GANG_FOLDER_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "jobs/launch/gang_folder.h"

namespace caracal {

struct SlurmSubmission {
  std::string mark;
  std::vector<std::string> script;  // batch.sh and its arguments
};

// For a folder that GangFolder::Create() has made. kInvalidArgument when an
// argument has a zero byte.
absl::StatusOr<SlurmSubmission> PrepareSubmission(
    const GangFolder& folder, const std::vector<std::string>& command,
    const std::vector<std::string>& afterwards = {});

// kNotFound when nothing was ever submitted for this folder; kDataLoss when it
// is no mark.
absl::StatusOr<std::string> ReadMark(const GangFolder& folder);

// The number of the Slurm job that has claimed the gang. kNotFound when none
// has; kDataLoss when the claim is not a Slurm job's.
absl::StatusOr<std::string> ReadClaimingJob(const GangFolder& folder);

// The exit status of the ranks, as srun has it. kNotFound when the script has
// told none; kDataLoss when it was cut short.
absl::StatusOr<int> ReadRanksStatus(const GangFolder& folder);

}  // namespace caracal

#endif  // CARACAL_JOBS_LAUNCH_SLURM_SLURM_GANG_FOLDER_H_
