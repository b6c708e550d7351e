// `caracal generate MODEL --prompt TEXT`: a greedy continuation in any
// component mode.
#ifndef CARACAL_JOBS_CLIENT_GENERATE_H_
#define CARACAL_JOBS_CLIENT_GENERATE_H_

#include "jobs/client/command.h"

namespace caracal {

CommandBody DeclareGenerate(CLI::App& app);

}  // namespace caracal

#endif  // CARACAL_JOBS_CLIENT_GENERATE_H_
