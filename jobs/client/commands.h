// The table of sub-commands. A new one is a file with its declare function
// and a row in commands.cc.
#ifndef CARACAL_JOBS_CLIENT_COMMANDS_H_
#define CARACAL_JOBS_CLIENT_COMMANDS_H_

#include "absl/types/span.h"
#include "jobs/client/command.h"

namespace caracal {

// In the order of the help text.
absl::Span<const Command> AllCommands();

}  // namespace caracal

#endif  // CARACAL_JOBS_CLIENT_COMMANDS_H_
