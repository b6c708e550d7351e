// `caracal ls` and `caracal status`: what the coordinator's jobs are doing.
#ifndef CARACAL_JOBS_CLIENT_SERVICE_JOB_LIST_H_
#define CARACAL_JOBS_CLIENT_SERVICE_JOB_LIST_H_

#include "jobs/client/command.h"

namespace caracal {

CommandBody DeclareLs(CLI::App& app);
CommandBody DeclareStatus(CLI::App& app);

}  // namespace caracal

#endif  // CARACAL_JOBS_CLIENT_SERVICE_JOB_LIST_H_
