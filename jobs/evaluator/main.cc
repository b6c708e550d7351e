// `caracal-evald`: a worker of the coordinator's evaluation pool.
#include <unistd.h>

#include <csignal>
#include <iostream>
#include <string>

#include "CLI/CLI.hpp"
#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "core/base/host_name.h"
#include "core/base/version.h"
#include "jobs/client/interrupt.h"
#include "jobs/client/model_option.h"
#include "jobs/coordinator/rpc/grpc_log.h"
#include "jobs/evaluator/evaluator.h"
#include "jobs/model/choose_device.h"

namespace caracal {
namespace {

std::string HostAndProcess() { return absl::StrCat(HostName(), ":", getpid()); }

int Main(int argc, char** argv) {
  EvaluatorOptions options;
  options.name = HostAndProcess();
  CLI::App app(
      "Measures parts of what `caracal attribute --server` asks for, until it "
      "is told to end (SIGTERM).",
      "caracal-evald");
  app.set_version_flag("--version", kVersion);
  options.server.Declare(app);
  app.add_option("--threads", options.threads, "CPU threads; 0: one a core")
      ->check(CLI::Range(0, 1024));
  DeclareDevice(app, &options.device);
  app.add_option_function<double>(
         "--idle-exit", [&](double s) { options.idle_exit = absl::Seconds(s); },
         "ends when there was nothing to do for so many seconds; by default "
         "never")
      ->type_name("SECONDS")
      ->check(CLI::Range(0.0, 1e9));
  app.add_option("--name", options.name,
                 "what the coordinator calls this worker")
      ->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  options.tell = [](const std::string& line) {
    std::cerr << absl::StrCat("caracal-evald: ", line, "\n") << std::flush;
  };
  // Else every part that it leased would fail.
  if (const absl::Status device = CheckDevice(options.device); !device.ok()) {
    options.tell(std::string(device.message()));
    return 1;
  }
  std::signal(SIGPIPE, SIG_IGN);
  SilenceGrpcLog();
  const std::atomic<bool>* const stop = CatchInterrupts();
  options.tell(
      absl::StrCat(options.name, " works for ", options.server.server));
  const absl::Status status = Evaluator(options, stop).Run();
  if (status.ok()) return 0;
  options.tell(std::string(status.message()));
  return 1;
}

}  // namespace
}  // namespace caracal

int main(int argc, char** argv) { return caracal::Main(argc, argv); }
