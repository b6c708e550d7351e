// A launcher as a program, for tests that kill it:
//
//   launch_gang CARACAL_GANG GANGS JOB EPOCH start RANKS FOLDER ARGUMENTS...
//   launch_gang CARACAL_GANG GANGS JOB EPOCH find
//
// starts caracal-worker in a working folder, or finds it; prints what the
// launcher tells, a line each, and ends when the gang has.
#include <condition_variable>
#include <cstdlib>
#include <iostream>
#include <memory>
#include <mutex>
#include <string>

#include "core/base/status.h"
#include "jobs/launch/local_launcher.h"

namespace caracal {
namespace {

class Printer : public LauncherEvents {
 public:
  void GangFound(GangId id) override {
    std::cout << "found " << ToString(id) << std::endl;
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
  const std::string what = argc > 5 ? argv[5] : "";
  if (!(what == "find" && argc == 6) && !(what == "start" && argc >= 8)) {
    return absl::InvalidArgumentError("see launch_gang.cc");
  }
  const GangId id = {std::strtoull(argv[3], nullptr, 10),
                     std::strtoull(argv[4], nullptr, 10)};
  Printer events;
  ASSIGN_OR_RETURN(
      const std::unique_ptr<LocalLauncher> launcher,
      LocalLauncher::Open({.gangs_folder = argv[2], .gang_program = argv[1]},
                          &events));
  if (what == "find") {
    launcher->Find(id);
  } else {
    GangSpec spec;
    spec.id = id;
    spec.ranks = std::atoi(argv[6]);
    spec.working_directory = argv[7];
    spec.arguments.assign(argv + 8, argv + argc);
    RETURN_IF_ERROR(launcher->Start(spec));
  }
  events.WaitForEnd();
  return absl::OkStatus();
}

}  // namespace
}  // namespace caracal

int main(int argc, char** argv) {
  const absl::Status status = caracal::Main(argc, argv);
  if (!status.ok()) std::cerr << "launch_gang: " << status.message() << "\n";
  return status.ok() ? 0 : 1;
}
