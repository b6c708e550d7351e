// `caracal bench`: the speed of a stage on this machine.
#ifndef CARACAL_JOBS_CLIENT_BENCH_H_
#define CARACAL_JOBS_CLIENT_BENCH_H_

#include "jobs/client/command.h"

namespace caracal {

CommandBody DeclareBench(CLI::App& app);

}  // namespace caracal

#endif  // CARACAL_JOBS_CLIENT_BENCH_H_
