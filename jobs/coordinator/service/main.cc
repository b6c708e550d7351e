// `caracald`: the coordinator as a daemon.
#include <csignal>
#include <iostream>
#include <string>

#include "CLI/CLI.hpp"
#include "absl/time/time.h"
#include "core/base/version.h"
#include "jobs/coordinator/service/security_flags.h"
#include "jobs/coordinator/service/service.h"
#include "jobs/coordinator/service/token_command.h"
#include "kernels/common/thread_pool.h"

namespace caracal {
namespace {

void AddSeconds(CLI::App& app, const std::string& name, absl::Duration* value,
                const std::string& help) {
  app.add_option_function<double>(
         name, [value](double s) { *value = absl::Seconds(s); }, help)
      ->check(CLI::Range(0.1, 1e9))
      ->default_str(absl::StrCat(absl::ToInt64Seconds(*value)));
}

int RunToken(const TokenCommand& token, const std::string& data_folder) {
  const absl::Status status = token.Run(data_folder, std::cout);
  if (status.ok()) return 0;
  std::cerr << "caracald: " << status.message() << "\n";
  return 1;
}

int Main(int argc, char** argv) {
  ServiceOptions options;
  CoordinatorLimits& limits = options.limits;
  limits.slots = AvailableCores();
  CLI::App app("Takes in conversion jobs, runs and watches them.", "caracald");
  app.set_version_flag("--version", kVersion);
  app.add_option("--data", options.data_folder,
                 "folder for jobs, runs and the database; on a local disk")
      ->type_name("DIR")
      ->required();
  app.add_option("--listen", options.listen, "address; port 0: a free one")
      ->type_name("HOST:PORT")
      ->capture_default_str();
  app.add_option("--slots", limits.slots,
                 "threads of all ranks that run at a time")
      ->check(CLI::Range(int64_t{1}, int64_t{1} << 20))
      ->capture_default_str();
  AddSeconds(app, "--heartbeat-timeout", &limits.heartbeat_timeout,
             "seconds without a sign of life after which a gang is given up");
  AddSeconds(app, "--start-timeout", &limits.start_timeout,
             "seconds that a gang may take to be heard of");
  AddSeconds(app, "--stop-grace", &limits.stop_grace,
             "seconds that a gang may take to save when it is cancelled");
  AddSeconds(app, "--back-off", &limits.first_back_off,
             "seconds before a gang that was lost is started again; doubles");
  app.add_option_function<double>(
         "--retention-days",
         [&](double days) { limits.retention = absl::Hours(24 * days); },
         "jobs that have ended are forgotten after so long (their run folders "
         "stay); by default never")
      ->check(CLI::Range(0.0, 1e5));
  DeclareSecurityFlags(app, &options.security);
  TokenCommand token;
  token.Declare(app);
  CLI11_PARSE(app, argc, argv);
  if (token.chosen()) return RunToken(token, options.data_folder);

  std::signal(SIGPIPE, SIG_IGN);
  // Before any thread, so that all inherit it.
  sigset_t ends;
  sigemptyset(&ends);
  sigaddset(&ends, SIGINT);
  sigaddset(&ends, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &ends, nullptr);
  const absl::StatusOr<std::unique_ptr<Service>> service =
      Service::Start(options);
  if (!service.ok()) {
    std::cerr << "caracald: " << service.status().message() << "\n";
    return 1;
  }
  std::cout << "caracald: listening on " << (*service)->endpoint().address
            << ", data in " << options.data_folder << std::endl;
  int signal = 0;
  sigwait(&ends, &signal);
  std::cout << "caracald: ending; gangs go on" << std::endl;
  return 0;
}

}  // namespace
}  // namespace caracal

int main(int argc, char** argv) { return caracal::Main(argc, argv); }
