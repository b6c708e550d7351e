// `caracal evaluation list` and `cancel`.
#ifndef CARACAL_JOBS_CLIENT_SERVICE_EVALUATION_LIST_H_
#define CARACAL_JOBS_CLIENT_SERVICE_EVALUATION_LIST_H_

#include "jobs/client/command.h"

namespace caracal {

CommandBody DeclareEvaluationList(CLI::App& app);
CommandBody DeclareEvaluationCancel(CLI::App& app);

}  // namespace caracal

#endif  // CARACAL_JOBS_CLIENT_SERVICE_EVALUATION_LIST_H_
