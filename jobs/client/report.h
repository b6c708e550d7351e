// `caracal report RUN...`: runs that were measured on the same rows, side by
// side.
#ifndef CARACAL_JOBS_CLIENT_REPORT_H_
#define CARACAL_JOBS_CLIENT_REPORT_H_

#include "jobs/client/command.h"

namespace caracal {

CommandBody DeclareReport(CLI::App& app);

}  // namespace caracal

#endif  // CARACAL_JOBS_CLIENT_REPORT_H_
