// `caracal`: one command, many sub-commands (jobs/client/commands.cc).
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <iostream>
#include <string>
#include <vector>

#include "jobs/client/commands.h"
#include "jobs/client/console.h"
#include "jobs/client/shell.h"
#include "jobs/coordinator/rpc/grpc_log.h"

int main(int argc, char** argv) {
  // A reader that goes away (`caracal explain JOB | head -1`) is an error to
  // see in a stream's state, not a signal that kills a run.
  std::signal(SIGPIPE, SIG_IGN);
  caracal::SilenceGrpcLog();
  std::ios::sync_with_stdio(false);
  caracal::Console console = caracal::SystemConsole(
      [](const char* name) { return std::getenv(name); });
  errno = 0;
  const int status = caracal::RunShell(
      caracal::AllCommands(), std::vector<std::string>(argv + 1, argv + argc),
      console);
  if (!std::cout.flush() && status == caracal::kExitOk) {
    if (errno != EPIPE) {
      std::cerr << "caracal: write standard output: "
                << (errno != 0 ? std::strerror(errno) : "failed") << "\n";
    }
    return caracal::kExitFailure;
  }
  return status;
}
