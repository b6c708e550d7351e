// `caracal-worker`: one rank of a gang that trains a job. Started by mpirun or
// srun, as many as the job's `parallel` asks for; `caracal run` does it too.
#include <csignal>
#include <cstdlib>
#include <iostream>
#include <memory>
#include <string>
#include <utility>

#include "CLI/CLI.hpp"
#include "absl/strings/str_cat.h"
#include "core/base/file_system.h"
#include "core/base/status.h"
#include "dist/handshake/handshake.h"
#include "dist/mpi/mpi_mesh.h"
#include "dist/mpi/mpi_runtime.h"
#include "jobs/client/console.h"
#include "jobs/client/conversion_progress.h"
#include "jobs/client/interrupt.h"
#include "jobs/client/job_option.h"
#include "jobs/convert/conversion.h"
#include "jobs/launch/local_gang.h"
#include "jobs/spec/layout.h"

namespace caracal {
namespace {

struct WorkerOptions {
  JobOption job;
  std::string out;
  bool resume = false;
};

absl::Status Train(const WorkerOptions& o, MpiRuntime& runtime) {
  ConversionOptions options;
  ASSIGN_OR_RETURN(options.job, o.job.Load());
  options.run_folder =
      !o.out.empty() ? o.out : JoinPath("runs", options.job.name());
  options.resume = o.resume;
  options.stop = CatchInterrupts();
  ASSIGN_OR_RETURN(MeshGroups groups,
                   MakeMpiMesh(runtime, TransferLayout(options.job)));
  ASSIGN_OR_RETURN(const std::vector<Fact> facts,
                   ProgramFacts(FileSystem::Posix()));
  RETURN_IF_ERROR(CompareFacts(*groups.world, runtime.host(), facts));
  Gang gang(std::move(groups), runtime.host());
  options.gang = &gang;
  Console console =
      SystemConsole([](const char* name) { return std::getenv(name); });
  ConversionProgress progress(options.job, &console);
  if (gang.leads()) options.events = progress.events();
  const absl::Status status = RunConversion(options).status();
  if (gang.leads()) progress.Finish();
  return status;
}

int ExitStatusOf(const absl::Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kOk:
      return kWorkerDone;
    case absl::StatusCode::kCancelled:
      return kWorkerStopped;
    case absl::StatusCode::kUnavailable:
    case absl::StatusCode::kDeadlineExceeded:
    case absl::StatusCode::kResourceExhausted:
    case absl::StatusCode::kAborted:
      return kWorkerTransient;
    default:
      return kWorkerFailed;
  }
}

int Main(int argc, char** argv) {
  std::signal(SIGPIPE, SIG_IGN);
  WorkerOptions options;
  CLI::App app(
      "One rank of a gang that trains a job. mpirun or srun starts as "
      "many as the job's `parallel` asks for.",
      "caracal-worker");
  app.add_option("--job", options.job.path, "job file")->required();
  app.add_option("--set", options.job.overrides,
                 "overrides a field: budget.batch=8")
      ->take_all();
  app.add_option("--out", options.out,
                 "run folder (by default runs/NAME), seen by all ranks");
  app.add_flag("--resume", options.resume,
               "go on from the folder's newest checkpoint");
  CLI11_PARSE(app, argc, argv);

  absl::StatusOr<std::unique_ptr<MpiRuntime>> runtime = MpiRuntime::Start();
  if (!runtime.ok()) {
    std::cerr << "caracal-worker: " << runtime.status().message() << "\n";
    return kWorkerFailed;
  }
  const absl::Status status = Train(options, **runtime);
  if (status.ok()) return kWorkerDone;
  // An error that all ranks know is told once.
  const int exit_status = ExitStatusOf(status);
  if ((*runtime)->rank() == 0 || exit_status != kWorkerStopped) {
    std::cerr << absl::StrCat("caracal-worker: rank ", (*runtime)->rank(),
                              " on ", (*runtime)->host(), ": ",
                              status.message(), "\n")
              << std::flush;
  }
  if (exit_status == kWorkerStopped) return exit_status;
  (*runtime)->Abort(exit_status);
}

}  // namespace
}  // namespace caracal

int main(int argc, char** argv) { return caracal::Main(argc, argv); }
