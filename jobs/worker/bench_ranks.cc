#include "jobs/worker/bench_ranks.h"

#include <cstdlib>
#include <iostream>
#include <memory>
#include <utility>

#include "CLI/CLI.hpp"
#include "absl/strings/str_cat.h"
#include "core/base/status.h"
#include "dist/mpi/mpi_mesh.h"
#include "dist/mpi/mpi_runtime.h"
#include "jobs/client/bench.h"
#include "jobs/client/console.h"

namespace caracal {

int BenchRank(int argc, char** argv) {
  absl::StatusOr<std::unique_ptr<MpiRuntime>> started = MpiRuntime::Start();
  if (!started.ok()) {
    std::cerr << "caracal-worker bench: " << started.status().message() << "\n";
    return EXIT_FAILURE;
  }
  MpiRuntime& runtime = **started;
  CLI::App app(
      "The speed of a training stage by the ranks that mpirun or srun started.",
      "caracal-worker bench");
  const CommandBody body = DeclareBenchOfRanks(
      app,
      [&](const MeshShape& shape) -> absl::StatusOr<std::unique_ptr<Gang>> {
        ASSIGN_OR_RETURN(MeshGroups groups, MakeMpiMesh(runtime, shape));
        return std::make_unique<Gang>(std::move(groups), runtime.host());
      });
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return runtime.rank() == 0 ? app.exit(error) : error.get_exit_code();
  }
  Console console =
      SystemConsole([](const char* name) { return std::getenv(name); });
  const absl::Status status = body(console);
  if (status.ok()) return EXIT_SUCCESS;
  std::cerr << absl::StrCat("caracal-worker bench: rank ", runtime.rank(), ": ",
                            status.message(), "\n")
            << std::flush;
  runtime.Abort(EXIT_FAILURE);
}

}  // namespace caracal
