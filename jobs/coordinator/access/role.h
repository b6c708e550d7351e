// What callers of the coordinator may do.
#ifndef CARACAL_JOBS_COORDINATOR_ACCESS_ROLE_H_
#define CARACAL_JOBS_COORDINATOR_ACCESS_ROLE_H_

#include <optional>

#include "absl/strings/string_view.h"

namespace caracal {

// Each may what those before it may.
enum class Role {
  kViewer,     // look
  kSubmitter,  // submit jobs, and change its own
  kAdmin,      // everything
};

inline constexpr char kRoleNames[] = "viewer, submitter, admin";

// "viewer", ...
const char* NameOf(Role role);
// None for what is no role.
std::optional<Role> RoleFromName(absl::string_view name);

// Whether this can be the name of a user: 1 to 64 letters, digits and ._-@, no
// dash or dot first. Safe in logs, pages and commands.
bool IsUserName(absl::string_view name);

}  // namespace caracal

#endif  // CARACAL_JOBS_COORDINATOR_ACCESS_ROLE_H_
