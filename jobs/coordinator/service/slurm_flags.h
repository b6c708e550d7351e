// The flags of `caracald --launcher slurm`.
#ifndef CARACAL_JOBS_COORDINATOR_SERVICE_SLURM_FLAGS_H_
#define CARACAL_JOBS_COORDINATOR_SERVICE_SLURM_FLAGS_H_

#include "CLI/CLI.hpp"
#include "absl/status/status.h"
#include "jobs/coordinator/access/slurm_rules.h"
#include "jobs/launch/slurm/slurm_options.h"

namespace caracal {

// Both outlive the app. Of the rules: the names that jobs may choose.
void DeclareSlurmFlags(CLI::App& app, SlurmOptions* options, SlurmRules* rules);

// After parsing: kInvalidArgument naming a flag of these that was given. For
// other launchers, with which it would have no effect.
absl::Status CheckNoSlurmFlags(const CLI::App& app);

}  // namespace caracal

#endif  // CARACAL_JOBS_COORDINATOR_SERVICE_SLURM_FLAGS_H_
