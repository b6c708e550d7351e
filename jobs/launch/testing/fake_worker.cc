// A rank that only does what a test wants of it:
//
//   fake_worker exit N         ends with status N
//   fake_worker say WORDS N    prints them first, on standard error
//   fake_worker hold FOLDER    until there is FOLDER/release; ends with 85 when
//                              it is asked to stop
//   fake_worker deaf FOLDER    the same, but listens to nothing
//
// The last two write their process id to FOLDER/rank.N when they are ready.
#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <string>

namespace {

std::atomic<bool> asked{false};

int Hold(const std::string& folder, bool deaf) {
  for (const int number : {SIGUSR1, SIGTERM}) {
    signal(
        number, deaf ? SIG_IGN : [](int) { asked = true; });
  }
  const char* const rank = std::getenv("OMPI_COMM_WORLD_RANK");
  const std::string ready = folder + "/rank." + (rank ? rank : "none");
  std::ofstream(ready + ".tmp") << getpid();
  std::filesystem::rename(ready + ".tmp", ready);
  while (!std::filesystem::exists(folder + "/release")) {
    if (asked) return 85;
    usleep(5000);
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  const std::string what = argc > 1 ? argv[1] : "";
  if (what == "exit" && argc == 3) return std::atoi(argv[2]);
  if (what == "say" && argc == 4) {
    std::cerr << argv[2] << std::endl;
    return std::atoi(argv[3]);
  }
  if ((what == "hold" || what == "deaf") && argc == 3) {
    return Hold(argv[2], what == "deaf");
  }
  return 2;
}
