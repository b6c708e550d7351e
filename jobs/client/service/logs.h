// `caracal logs`: what a job's ranks have printed.
#ifndef CARACAL_JOBS_CLIENT_SERVICE_LOGS_H_
#define CARACAL_JOBS_CLIENT_SERVICE_LOGS_H_

#include "jobs/client/command.h"

namespace caracal {

CommandBody DeclareLogs(CLI::App& app);

}  // namespace caracal

#endif  // CARACAL_JOBS_CLIENT_SERVICE_LOGS_H_
