// What a job asks of Slurm (Job.slurm): formats, and the options of sbatch that
// say the same.
#ifndef CARACAL_JOBS_SPEC_SLURM_FIELDS_H_
#define CARACAL_JOBS_SPEC_SLURM_FIELDS_H_

#include <optional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "jobs/spec/problem.h"
#include "proto/job.pb.h"

namespace caracal {

// Of a time limit in one of the six forms that sbatch takes ("90", "1:30:00",
// "2-12"). None for other text, and outside of one minute to 3650 days.
std::optional<absl::Duration> ParseSlurmTime(absl::string_view text);

// Whether the job asks anything of Slurm.
bool AsksSlurm(const proto::Job& job);

// Appends the problems of what an expanded job asks of Slurm: values that are
// not of their format, and nodes that do not go with its ranks. Ranges of
// numbers are the field table's.
void CheckSlurm(const proto::Job& expanded, std::vector<Problem>* problems);

// How many of so many ranks each node of the job has, on average, rounded down:
// as much of a node as the job surely has may be used by that many. All of
// them, when it asks for no number of nodes.
int RanksOfANode(const proto::Slurm& slurm, int ranks);

// One --name=value for each field that is set.
std::vector<std::string> SbatchOptionsOf(const proto::Slurm& slurm);

}  // namespace caracal

#endif  // CARACAL_JOBS_SPEC_SLURM_FIELDS_H_
