// What Slurm says of jobs, and how it says no.
#ifndef CARACAL_JOBS_LAUNCH_SLURM_SQUEUE_H_
#define CARACAL_JOBS_LAUNCH_SLURM_SQUEUE_H_

#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace caracal {

enum class SlurmPhase {
  kWaiting,   // for machines, or to be begun again: none of it runs
  kRunning,   // or suspended, or in a state that we do not know
  kClearing,  // it ends: processes may be left
  kEnded,     // no process is left, of those that Slurm can still reach
};

struct SlurmJob {
  std::string number;
  SlurmPhase phase = SlurmPhase::kRunning;
  std::string state;   // Slurm's word: NODE_FAIL
  std::string reason;  // why it waits, or ended. "None" is ""
};

// Whether it is one of those that Slurm numbers jobs by: 1 to 10 digits.
bool IsSlurmNumber(absl::string_view text);

// All jobs of this user that slurmctld knows of, those that ended less than
// MinJobAge ago included: what `scontrol show job` would say of each, in one
// question.
std::vector<std::string> SqueueCommand();

// What it prints, by the mark of each job: its comment.
// Of two with one mark, which sbatch never makes, that which is not over.
// kDataLoss when a line is not what was asked for: then nothing is known.
absl::StatusOr<std::map<std::string, SlurmJob>> ParseSqueue(
    absl::string_view output);

// The phase of a job in a state as squeue has it, in full or compact.
SlurmPhase PhaseOf(absl::string_view state);

// The number of a job that `sbatch --parsable` has submitted. kDataLoss when
// there is none in what it printed.
absl::StatusOr<std::string> ParseSbatch(absl::string_view output);

// Whether what sbatch said, when it ended with an error, is likely to come
// again: an unknown partition, say, unlike a slurmctld that is away.
bool IsFinalRefusal(absl::string_view words);

}  // namespace caracal

#endif  // CARACAL_JOBS_LAUNCH_SLURM_SQUEUE_H_
