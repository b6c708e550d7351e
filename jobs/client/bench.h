// `caracal bench`: the speed of a stage on this machine.
#ifndef CARACAL_JOBS_CLIENT_BENCH_H_
#define CARACAL_JOBS_CLIENT_BENCH_H_

#include <functional>
#include <memory>

#include "absl/status/statusor.h"
#include "dist/gang/gang.h"
#include "jobs/client/command.h"

namespace caracal {

CommandBody DeclareBench(CLI::App& app);

// The same of ranks that were started as such, with options for their layout,
// of which `make_gang` makes this rank's gang. The leading rank prints.
using MakeGang =
    std::function<absl::StatusOr<std::unique_ptr<Gang>>(const MeshShape&)>;
CommandBody DeclareBenchOfRanks(CLI::App& app, MakeGang make_gang);

}  // namespace caracal

#endif  // CARACAL_JOBS_CLIENT_BENCH_H_
