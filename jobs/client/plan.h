// `caracal plan JOB --gpus N --gpu h100|h200`: what a job would take on a
// cluster, worked out on paper, and how best to lay it out. Needs no GPU, and
// of the model only its configuration.
#ifndef CARACAL_JOBS_CLIENT_PLAN_H_
#define CARACAL_JOBS_CLIENT_PLAN_H_

#include "jobs/client/command.h"

namespace caracal {

CommandBody DeclarePlan(CLI::App& app);

}  // namespace caracal

#endif  // CARACAL_JOBS_CLIENT_PLAN_H_
