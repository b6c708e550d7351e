// A launcher as a program, for tests with a real Slurm:
//
//   slurm_gang GANGS WORKER LIMIT JOB EPOCH start RANKS FOLDER ARGUMENTS...
//   slurm_gang GANGS WORKER LIMIT JOB EPOCH find | stop | kill
//
// starts caracal-worker in a working folder, then once more with what comes
// behind --then in ARGUMENTS; or finds it and does that. Prints what the
// launcher tells, a line each, and ends when the gang has. LIMIT is "" or
// MINUTES,SECONDS: of the Slurm job, and how long before it is asked to save.
#include <condition_variable>
#include <cstdlib>
#include <cstring>
#include <iostream>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "core/base/status.h"
#include "jobs/launch/slurm/slurm_launcher.h"

namespace caracal {
namespace {

class Printer : public LauncherEvents {
 public:
  void GangFound(GangId id) override {
    std::cout << "found " << ToString(id) << std::endl;
  }
  void GangWaits(GangId id, const std::string& reason) override {
    std::cout << "waits " << ToString(id) << " " << reason << std::endl;
  }
  void Note(const std::string& words) override {
    std::cout << "note: " << words << std::endl;
  }
  void GangEnded(GangId id, GangEnd end, const std::string& reason) override {
    std::cout << "ended " << ToString(id) << " " << NameOf(end) << " " << reason
              << std::endl;
    const std::lock_guard lock(mutex_);
    ended_ = true;
    changed_.notify_all();
  }
  void WaitForEnd() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return ended_; });
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool ended_ = false;
};

absl::Status Main(int argc, char** argv) {
  const std::string what = argc > 6 ? argv[6] : "";
  const bool is_start = what == "start" && argc >= 9;
  if (!is_start && (argc != 7 || what == "start")) {
    return absl::InvalidArgumentError("see slurm_gang.cc");
  }
  SlurmLauncherOptions options = {.gangs_folder = argv[1], .worker = argv[2]};
  options.slurm.poll_interval = absl::Milliseconds(200);
  options.slurm.grace = absl::Seconds(2);
  const std::string limit = argv[3];
  if (!limit.empty()) {
    options.slurm.save_before_limit =
        absl::Seconds(std::atoi(limit.c_str() + limit.find(',') + 1));
  }
  const GangId id = {std::strtoull(argv[4], nullptr, 10),
                     std::strtoull(argv[5], nullptr, 10)};
  Printer events;
  ASSIGN_OR_RETURN(const std::unique_ptr<SlurmLauncher> launcher,
                   SlurmLauncher::Open(options, &events));
  if (is_start) {
    GangSpec spec;
    spec.id = id;
    spec.ranks = std::atoi(argv[7]);
    spec.working_directory = argv[8];
    // As a job's own: shorter than a site's may be.
    if (!limit.empty()) {
      spec.cluster_options = {"--time=" +
                              std::to_string(std::atoi(limit.c_str()))};
    }
    std::vector<std::string>* list = &spec.arguments;
    for (int i = 9; i < argc; ++i) {
      if (std::strcmp(argv[i], "--then") == 0) {
        list = &spec.afterwards;
      } else {
        list->push_back(argv[i]);
      }
    }
    RETURN_IF_ERROR(launcher->Start(spec));
  } else {
    launcher->Find(id);
    if (what == "stop") launcher->Stop(id);
    if (what == "kill") launcher->Kill(id);
  }
  events.WaitForEnd();
  return absl::OkStatus();
}

}  // namespace
}  // namespace caracal

int main(int argc, char** argv) {
  const absl::Status status = caracal::Main(argc, argv);
  if (!status.ok()) std::cerr << "slurm_gang: " << status.message() << "\n";
  return status.ok() ? 0 : 1;
}
