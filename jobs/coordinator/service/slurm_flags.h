// The flags of `caracald --launcher slurm`.
#ifndef CARACAL_JOBS_COORDINATOR_SERVICE_SLURM_FLAGS_H_
#define CARACAL_JOBS_COORDINATOR_SERVICE_SLURM_FLAGS_H_

#include "CLI/CLI.hpp"
#include "jobs/launch/slurm/slurm_options.h"

namespace caracal {

// `options` outlives the app.
void DeclareSlurmFlags(CLI::App& app, SlurmOptions* options);

}  // namespace caracal

#endif  // CARACAL_JOBS_COORDINATOR_SERVICE_SLURM_FLAGS_H_
