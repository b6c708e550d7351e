// `caracal cancel`, `resume`, `rm` and `priority`.
#ifndef CARACAL_JOBS_CLIENT_SERVICE_JOB_CHANGES_H_
#define CARACAL_JOBS_CLIENT_SERVICE_JOB_CHANGES_H_

#include "jobs/client/command.h"

namespace caracal {

CommandBody DeclareCancel(CLI::App& app);
CommandBody DeclareResume(CLI::App& app);
CommandBody DeclareRm(CLI::App& app);
CommandBody DeclarePriority(CLI::App& app);

}  // namespace caracal

#endif  // CARACAL_JOBS_CLIENT_SERVICE_JOB_CHANGES_H_
