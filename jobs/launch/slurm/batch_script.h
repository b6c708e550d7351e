// What Slurm runs for a gang: `batch.sh FOLDER MARK N M`. Nothing of a job is
// in its text: it takes the command of the ranks, and what is run afterwards,
// from files, as vectors of N and M arguments.
//
// It claims the gang (gang_folder.h), so that whatever was submitted twice, by
// hand, or started again by Slurm runs once; asks the ranks to save and end
// when it is sent SIGTERM, by Slurm before the time limit or by the launcher;
// and leaves behind, durably, how they ended. It needs bash and coreutils.
#ifndef CARACAL_JOBS_LAUNCH_SLURM_BATCH_SCRIPT_H_
#define CARACAL_JOBS_LAUNCH_SLURM_BATCH_SCRIPT_H_

namespace caracal {

// The same for all gangs.
extern const char kBatchScript[];

// What each rank begins as: `bash -c kRankScript NAME FOLDER PROGRAM
// ARGUMENTS`, which works in that folder. srun can end with 0 without a rank
// that was ever started, and takes another folder for one that is missing: so
// rank 0, when its program ends with 0, leaves a file `done`, without which the
// batch script takes no gang for done.
extern const char kRankScript[];

}  // namespace caracal

#endif  // CARACAL_JOBS_LAUNCH_SLURM_BATCH_SCRIPT_H_
