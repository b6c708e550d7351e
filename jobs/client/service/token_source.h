// Where a user's token is: never on a command line, which others can see.
#ifndef CARACAL_JOBS_CLIENT_SERVICE_TOKEN_SOURCE_H_
#define CARACAL_JOBS_CLIENT_SERVICE_TOKEN_SOURCE_H_

#include <functional>
#include <string>

#include "absl/status/statusor.h"

namespace caracal {

// The first there is: `token_file`, the environment's CARACAL_TOKEN, the file
// caracal/token under XDG_CONFIG_HOME or ~/.config. "": none. `getenv` gives
// the value of a variable, or null. kFailedPrecondition for a file that others
// than its owner can read, kInvalidArgument for what is no token, errors of
// `token_file`; none of them has the token in it.
absl::StatusOr<std::string> FindToken(
    const std::string& token_file,
    const std::function<const char*(const char*)>& getenv);

}  // namespace caracal

#endif  // CARACAL_JOBS_CLIENT_SERVICE_TOKEN_SOURCE_H_
