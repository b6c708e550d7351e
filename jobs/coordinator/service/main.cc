// `caracald`: the coordinator as a daemon.
#include <csignal>
#include <cstdlib>
#include <iostream>
#include <optional>
#include <string>
#include <thread>

#include "CLI/CLI.hpp"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "core/base/steady_condition.h"
#include "core/base/version.h"
#include "jobs/coordinator/rpc/grpc_log.h"
#include "jobs/coordinator/service/housekeeping_flags.h"
#include "jobs/coordinator/service/listener.h"
#include "jobs/coordinator/service/security_flags.h"
#include "jobs/coordinator/service/service.h"
#include "jobs/coordinator/service/slurm_flags.h"
#include "jobs/coordinator/service/token_command.h"
#include "jobs/coordinator/web/web_server.h"
#include "kernels/common/thread_pool.h"

namespace caracal {
namespace {

constexpr int64_t kMostSlots = 1 << 20;
constexpr int64_t kMostJobs = int64_t{1} << 40;

void AddSeconds(CLI::App& app, const std::string& name, absl::Duration* value,
                const std::string& help) {
  app.add_option_function<double>(
         name, [value](double s) { *value = absl::Seconds(s); }, help)
      ->check(CLI::Range(0.1, 1e9))
      ->default_str(absl::StrCat(absl::ToInt64Seconds(*value)));
}

int RunToken(const TokenCommand& token, const std::string& data_folder) {
  const absl::Status status = token.Run(data_folder, std::cout, std::cerr);
  if (status.ok()) return 0;
  std::cerr << "caracald: " << status.message() << "\n";
  return 1;
}

// While the store fails not all are answered, and callers who wait would hold
// up the end for as long. They were promised nothing: this ends the process, as
// a kill does.
class Deadline {
 public:
  explicit Deadline(Service& service)
      : health_(service.coordinator().Health()), thread_([this] {
          if (over_.WaitFor(kPatience)) return;
          std::cerr << "caracald: ends without an answer to those who wait"
                    << (health_.ok() ? "" : ": ") << health_.message()
                    << std::endl;
          std::_Exit(1);
        }) {}
  ~Deadline() {
    over_.Notify();
    thread_.join();
  }

 private:
  static constexpr absl::Duration kPatience = absl::Seconds(5);

  const absl::Status health_;
  SteadyNotification over_;
  std::thread thread_;
};

int Main(int argc, char** argv) {
  ServiceOptions options;
  CoordinatorLimits& limits = options.limits;
  std::string launcher = "local";
  std::optional<int64_t> slots;
  SlurmOptions slurm;
  CLI::App app("Takes in conversion jobs, runs and watches them.", "caracald");
  app.set_version_flag("--version", kVersion);
  app.add_option("--data", options.data_folder,
                 "folder for jobs, runs and the database; on a local disk")
      ->type_name("DIR")
      ->required();
  app.add_option(
         "--shared", options.shared_folder,
         "folder for jobs, gangs and runs when they are to be apart, on "
         "a file system that all nodes see; by default as the last "
         "time, at first DIR")
      ->type_name("FOLDER");
  app.add_option("--listen", options.listen, "address; port 0: a free one")
      ->type_name("HOST:PORT")
      ->capture_default_str();
  app.add_option("--endpoint", options.public_endpoint,
                 "one more endpoint.json, which all users can read: where DIR "
                 "is closed to them; in a folder that only you can write to")
      ->type_name("FILE");
  options.web = kDefaultWebAddress;
  app.add_option("--web", options.web,
                 "address of the page and of /metrics, on this machine alone; "
                 "'': none; by default a free port when --listen has one")
      ->type_name("HOST:PORT")
      ->capture_default_str();
  app.add_option("--launcher", launcher,
                 "where gangs run: on this machine (local), or as jobs of "
                 "Slurm")
      ->check(CLI::IsMember({"local", "slurm"}))
      ->capture_default_str();
  app.add_option("--slots", slots,
                 "threads of all ranks that run at a time; by default as many "
                 "as this machine has cores, and what Slurm lets run")
      ->check(CLI::Range(int64_t{1}, kMostSlots));
  app.add_option("--job-slots", options.job_slots,
                 "threads of all ranks of a job that names none; by default "
                 "all, and under Slurm one a rank")
      ->check(CLI::Range(int64_t{1}, kMostSlots));
  limits.most_waiting_of_user = 10'000;
  limits.most_unfinished = 100'000;
  app.add_option("--max-queued-per-user", limits.most_waiting_of_user,
                 "jobs of one user that may wait; 0: any number")
      ->type_name("N")
      ->check(CLI::Range(int64_t{0}, kMostJobs))
      ->capture_default_str();
  app.add_option("--max-unfinished", limits.most_unfinished,
                 "jobs of all users that may not have ended; 0: any number")
      ->type_name("N")
      ->check(CLI::Range(int64_t{0}, kMostJobs))
      ->capture_default_str();
  AddSeconds(app, "--heartbeat-timeout", &limits.heartbeat_timeout,
             "seconds without a sign of life after which a gang is given up");
  AddSeconds(app, "--start-timeout", &limits.start_timeout,
             "seconds that a gang may take to be heard of");
  AddSeconds(app, "--stop-grace", &limits.stop_grace,
             "seconds that a gang may take to save when it is cancelled");
  AddSeconds(app, "--back-off", &limits.first_back_off,
             "seconds before a gang that was lost is started again; doubles");
  AddSeconds(app, "--evaluation-lease", &options.evaluation_lease,
             "seconds without a sign of life after which an evaluation "
             "worker's part goes to another one");
  DeclareHousekeepingFlags(app, &options.housekeeping, &limits.retention);
  DeclareSlurmFlags(app, &slurm, &options.slurm_rules);
  DeclareSecurityFlags(app, &options.security);
  TokenCommand token;
  token.Declare(app);
  CLI11_PARSE(app, argc, argv);
  if (token.chosen()) return RunToken(token, options.data_folder);
  if (launcher == "slurm") {
    options.slurm = slurm;
  } else if (const absl::Status none = CheckNoSlurmFlags(app); !none.ok()) {
    std::cerr << "caracald: " << none.message() << "\n";
    return 1;
  }
  limits.slots =
      slots.value_or(options.slurm.has_value() ? kMostSlots : AvailableCores());
  if (app.count("--web") == 0 && absl::EndsWith(options.listen, ":0")) {
    options.web = "127.0.0.1:0";
  }

  std::signal(SIGPIPE, SIG_IGN);
  RaiseDescriptorLimit();
  TellGrpcLog("caracald");
  // Before any thread, so that all inherit it.
  sigset_t ends;
  sigemptyset(&ends);
  sigaddset(&ends, SIGINT);
  sigaddset(&ends, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &ends, nullptr);
  absl::StatusOr<std::unique_ptr<Service>> service = Service::Start(options);
  if (!service.ok()) {
    std::cerr << "caracald: " << service.status().message() << "\n";
    return 1;
  }
  std::cout << "caracald: listening on " << (*service)->endpoint().address
            << ", data in " << options.data_folder << std::endl;
  if (const std::string& web = (*service)->endpoint().web; !web.empty()) {
    std::cout << "caracald: page at http://" << web << "/" << std::endl;
  }
  int signal = 0;
  sigwait(&ends, &signal);
  std::cout << "caracald: ending; gangs go on" << std::endl;
  const absl::Status health = (*service)->coordinator().Health();
  {
    const Deadline deadline(**service);
    *service = nullptr;
  }
  if (health.ok()) return 0;
  std::cerr << "caracald: ends with changes that are not stored: "
            << health.message() << std::endl;
  return 1;
}

}  // namespace
}  // namespace caracal

int main(int argc, char** argv) { return caracal::Main(argc, argv); }
