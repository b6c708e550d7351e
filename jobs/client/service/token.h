// `caracal token create|list|revoke`: who may call the coordinator.
#ifndef CARACAL_JOBS_CLIENT_SERVICE_TOKEN_H_
#define CARACAL_JOBS_CLIENT_SERVICE_TOKEN_H_

#include "jobs/client/command.h"

namespace caracal {

CommandBody DeclareTokenCreate(CLI::App& app);
CommandBody DeclareTokenList(CLI::App& app);
CommandBody DeclareTokenRevoke(CLI::App& app);

}  // namespace caracal

#endif  // CARACAL_JOBS_CLIENT_SERVICE_TOKEN_H_
