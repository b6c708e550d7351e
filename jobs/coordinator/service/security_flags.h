// The options of caracald that say who may call.
#ifndef CARACAL_JOBS_COORDINATOR_SERVICE_SECURITY_FLAGS_H_
#define CARACAL_JOBS_COORDINATOR_SERVICE_SECURITY_FLAGS_H_

#include "CLI/CLI.hpp"
#include "jobs/coordinator/service/security.h"

namespace caracal {

// `options` outlives the app.
void DeclareSecurityFlags(CLI::App& app, SecurityOptions* options);

}  // namespace caracal

#endif  // CARACAL_JOBS_COORDINATOR_SERVICE_SECURITY_FLAGS_H_
