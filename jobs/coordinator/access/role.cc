#include "jobs/coordinator/access/role.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"

namespace caracal {
namespace {

constexpr size_t kLongestName = 64;
constexpr Role kRoles[] = {Role::kViewer, Role::kSubmitter, Role::kAdmin};

}  // namespace

const char* NameOf(Role role) {
  switch (role) {
    case Role::kViewer:
      return "viewer";
    case Role::kSubmitter:
      return "submitter";
    case Role::kAdmin:
      return "admin";
  }
  return "";
}

std::optional<Role> RoleFromName(absl::string_view name) {
  for (const Role role : kRoles) {
    if (name == NameOf(role)) return role;
  }
  return std::nullopt;
}

bool IsUserName(absl::string_view name) {
  return !name.empty() && name.size() <= kLongestName && name[0] != '-' &&
         name[0] != '.' && std::all_of(name.begin(), name.end(), [](char c) {
           return absl::ascii_isalnum(static_cast<unsigned char>(c)) ||
                  absl::StrContains("._-@", absl::string_view(&c, 1));
         });
}

}  // namespace caracal
