// The command line of `caracal`: finds the sub-command, parses its options,
// runs it, and turns its status into an exit status and one line on stderr.
#ifndef CARACAL_JOBS_CLIENT_SHELL_H_
#define CARACAL_JOBS_CLIENT_SHELL_H_

#include <string>
#include <vector>

#include "absl/types/span.h"
#include "jobs/client/command.h"
#include "jobs/client/console.h"

namespace caracal {

// Exit statuses.
inline constexpr int kExitOk = 0;
inline constexpr int kExitFailure = 1;
inline constexpr int kExitUsage = 2;          // the command line is wrong
inline constexpr int kExitTransient = 75;     // kUnavailable: again may help
inline constexpr int kExitInterrupted = 130;  // kCancelled: Ctrl-C

// `arguments` without the program's name.
int RunShell(absl::Span<const Command> commands,
             const std::vector<std::string>& arguments, Console& console);

}  // namespace caracal

#endif  // CARACAL_JOBS_CLIENT_SHELL_H_
