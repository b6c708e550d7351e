// `caracal submit`: a job for the coordinator.
#ifndef CARACAL_JOBS_CLIENT_SERVICE_SUBMIT_H_
#define CARACAL_JOBS_CLIENT_SERVICE_SUBMIT_H_

#include "jobs/client/command.h"

namespace caracal {

CommandBody DeclareSubmit(CLI::App& app);

}  // namespace caracal

#endif  // CARACAL_JOBS_CLIENT_SERVICE_SUBMIT_H_
