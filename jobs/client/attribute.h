// `caracal attribute MODEL --data FILE.h5`: losses by component mode, and how
// much of each head the linear part carries.
#ifndef CARACAL_JOBS_CLIENT_ATTRIBUTE_H_
#define CARACAL_JOBS_CLIENT_ATTRIBUTE_H_

#include "jobs/client/command.h"

namespace caracal {

CommandBody DeclareAttribute(CLI::App& app);

}  // namespace caracal

#endif  // CARACAL_JOBS_CLIENT_ATTRIBUTE_H_
