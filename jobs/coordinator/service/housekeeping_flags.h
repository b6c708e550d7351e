// How long what has ended is kept, on the command line.
#ifndef CARACAL_JOBS_COORDINATOR_SERVICE_HOUSEKEEPING_FLAGS_H_
#define CARACAL_JOBS_COORDINATOR_SERVICE_HOUSEKEEPING_FLAGS_H_

#include "CLI/CLI.hpp"
#include "absl/time/time.h"
#include "jobs/coordinator/service/housekeeping.h"

namespace caracal {

// --keep-events, --keep-gangs and --retention-days, in days; 0, as of all
// limits: none. `options` and `retention` outlive the app.
void DeclareHousekeepingFlags(CLI::App& app, HousekeepingOptions* options,
                              absl::Duration* retention);

}  // namespace caracal

#endif  // CARACAL_JOBS_COORDINATOR_SERVICE_HOUSEKEEPING_FLAGS_H_
