// The flags of `caracald --launcher slurm`.
#ifndef CARACAL_JOBS_COORDINATOR_SERVICE_SLURM_FLAGS_H_
#define CARACAL_JOBS_COORDINATOR_SERVICE_SLURM_FLAGS_H_

#include "CLI/CLI.hpp"
#include "jobs/coordinator/access/slurm_rules.h"
#include "jobs/launch/slurm/slurm_options.h"

namespace caracal {

// Both outlive the app. Of the rules: the names that jobs may choose.
void DeclareSlurmFlags(CLI::App& app, SlurmOptions* options, SlurmRules* rules);

}  // namespace caracal

#endif  // CARACAL_JOBS_COORDINATOR_SERVICE_SLURM_FLAGS_H_
