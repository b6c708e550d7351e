// What Slurm's accounting knows of jobs that slurmctld has forgotten.
#ifndef CARACAL_JOBS_LAUNCH_SLURM_SACCT_H_
#define CARACAL_JOBS_LAUNCH_SLURM_SACCT_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "jobs/launch/slurm/squeue.h"

namespace caracal {

struct SlurmRecord {
  SlurmJob job;           // its reason: who cancelled it, or the signal it had
  int exit_status = 0;    // of its batch script, 0 to 255
  std::string submitted;  // "2026-11-29T18:30:44", in local time
  std::string name;
  std::string folder;  // that it began in; "": not known (yet)
};

// What there is of jobs with these numbers: of several in turn that have had
// one, which Slurm gives anew when it has forgotten them, all.
std::vector<std::string> SacctCommand(const std::vector<std::string>& numbers);

// What it prints. kDataLoss when a line is not what was asked for.
absl::StatusOr<std::vector<SlurmRecord>> ParseSacct(absl::string_view output);

// Whether what sacct said, when it ended with an error, means that this cluster
// has no accounting: unlike a slurmdbd that is away.
bool IsWithoutAccounting(absl::string_view words);

}  // namespace caracal

#endif  // CARACAL_JOBS_LAUNCH_SLURM_SACCT_H_
