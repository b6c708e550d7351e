// `caracal run JOB`: a whole conversion on this machine, with a report at the
// end.
#ifndef CARACAL_JOBS_CLIENT_RUN_H_
#define CARACAL_JOBS_CLIENT_RUN_H_

#include "jobs/client/command.h"

namespace caracal {

CommandBody DeclareRun(CLI::App& app);

}  // namespace caracal

#endif  // CARACAL_JOBS_CLIENT_RUN_H_
