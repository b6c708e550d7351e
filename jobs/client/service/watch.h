// `caracal watch`: a job as it goes.
#ifndef CARACAL_JOBS_CLIENT_SERVICE_WATCH_H_
#define CARACAL_JOBS_CLIENT_SERVICE_WATCH_H_

#include "jobs/client/command.h"

namespace caracal {

CommandBody DeclareWatch(CLI::App& app);

}  // namespace caracal

#endif  // CARACAL_JOBS_CLIENT_SERVICE_WATCH_H_
