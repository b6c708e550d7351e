// One sub-command of `caracal`.
#ifndef CARACAL_JOBS_CLIENT_COMMAND_H_
#define CARACAL_JOBS_CLIENT_COMMAND_H_

#include <functional>

#include "CLI/CLI.hpp"
#include "absl/status/status.h"
#include "absl/types/span.h"
#include "jobs/client/console.h"

namespace caracal {

// Runs a command whose options have been parsed. Results go to console.out,
// progress and notes to console.err; an error is returned, not printed.
using CommandBody = std::function<absl::Status(Console& console)>;

struct Command {
  const char* name;  // "explain"; "data pack" is `pack` in the group `data`
  const char* help;  // one line
  // Declares the command's options on `app` and gives its body, which owns the
  // variables they are bound to.
  CommandBody (*declare)(CLI::App& app);
};

}  // namespace caracal

#endif  // CARACAL_JOBS_CLIENT_COMMAND_H_
