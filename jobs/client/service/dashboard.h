// `caracal dashboard`: where the coordinator's page is.
#ifndef CARACAL_JOBS_CLIENT_SERVICE_DASHBOARD_H_
#define CARACAL_JOBS_CLIENT_SERVICE_DASHBOARD_H_

#include "jobs/client/command.h"

namespace caracal {

CommandBody DeclareDashboard(CLI::App& app);

}  // namespace caracal

#endif  // CARACAL_JOBS_CLIENT_SERVICE_DASHBOARD_H_
