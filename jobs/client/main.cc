// `caracal`: one command, many sub-commands (jobs/client/commands.cc).
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <iostream>
#include <string>
#include <vector>

#include "jobs/client/commands.h"
#include "jobs/client/console.h"
#include "jobs/client/output_buffer.h"
#include "jobs/client/shell.h"
#include "jobs/coordinator/rpc/grpc_log.h"

int main(int argc, char** argv) {
  // A reader that goes away (`caracal explain JOB | head -1`) is an error to
  // see in a stream's state, not a signal that kills a run.
  std::signal(SIGPIPE, SIG_IGN);
  caracal::SilenceGrpcLog();
  std::ios::sync_with_stdio(false);
  caracal::OutputBuffer output(STDOUT_FILENO);
  std::streambuf* const own = std::cout.rdbuf(&output);
  caracal::Console console = caracal::SystemConsole(
      [](const char* name) { return std::getenv(name); });
  const int status = caracal::RunShell(
      caracal::AllCommands(), std::vector<std::string>(argv + 1, argv + argc),
      console);
  std::cout.flush();
  // It is flushed once more after `output` is gone.
  std::cout.rdbuf(own);
  if (output.error() != 0 && status == caracal::kExitOk) {
    // Who went away has seen enough.
    if (output.error() != EPIPE) {
      std::cerr << "caracal: write standard output: "
                << std::strerror(output.error()) << "\n";
    }
    return caracal::kExitFailure;
  }
  return status;
}
