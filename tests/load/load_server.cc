// A coordinator whose gangs are only written down: everything of caracald but
// the ranks. For measuring.
//
//   load_server DATA SLOTS
#include <sys/prctl.h>

#include <csignal>
#include <cstdlib>
#include <iostream>
#include <memory>

#include "core/base/file_system.h"
#include "core/base/status.h"
#include "jobs/coordinator/service/service.h"
#include "jobs/launch/gang_folder.h"
#include "jobs/launch/launcher.h"

namespace caracal {
namespace {

// Gangs start at once, and end when they are asked to.
class FolderLauncher : public Launcher {
 public:
  FolderLauncher(std::string gangs, LauncherEvents* events)
      : gangs_(std::move(gangs)), events_(events) {}
  absl::Status Start(const GangSpec& spec) override {
    return FolderOf(spec.id).Create(spec);
  }
  void Stop(GangId id) override {
    events_->GangEnded(id, GangEnd::kStopped, "");
  }
  void Kill(GangId id) override { events_->GangEnded(id, GangEnd::kLost, ""); }
  void Find(GangId id) override { events_->GangFound(id); }

 private:
  GangFolder FolderOf(GangId id) const {
    return GangFolder(JoinPath(gangs_, ToString(id)));
  }
  const std::string gangs_;
  LauncherEvents* const events_;
};

int Main(int argc, char** argv) {
  if (argc != 3) {
    std::cerr << "load_server DATA SLOTS\n";
    return 2;
  }
  // Whoever measures may be killed: no server is left behind.
  prctl(PR_SET_PDEATHSIG, SIGTERM);
  sigset_t ends;
  sigemptyset(&ends);
  sigaddset(&ends, SIGINT);
  sigaddset(&ends, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &ends, nullptr);
  ServiceOptions options;
  options.data_folder = argv[1];
  options.listen = "127.0.0.1:0";
  options.limits.slots = std::atoi(argv[2]);
  options.make_launcher =
      [](const std::string& gangs,
         LauncherEvents* events) -> absl::StatusOr<std::unique_ptr<Launcher>> {
    return std::make_unique<FolderLauncher>(gangs, events);
  };
  const auto service = Service::Start(options);
  if (!service.ok()) {
    std::cerr << "load_server: " << service.status().message() << "\n";
    return 1;
  }
  std::cout << (*service)->endpoint().address << std::endl;
  int signal = 0;
  sigwait(&ends, &signal);
  return 0;
}

}  // namespace
}  // namespace caracal

int main(int argc, char** argv) { return caracal::Main(argc, argv); }
