// Bearer tokens: secrets that stand for a user.
#ifndef CARACAL_JOBS_COORDINATOR_ACCESS_TOKEN_H_
#define CARACAL_JOBS_COORDINATOR_ACCESS_TOKEN_H_

#include <cstdint>
#include <optional>
#include <string>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "jobs/coordinator/access/role.h"

namespace caracal {

// What is kept of a token: not the token itself.
struct TokenRecord {
  int64_t id = 0;         // 0: not stored yet
  std::string name = "";  // of the user
  Role role = Role::kViewer;
  std::string hash = "";  // HashOfToken
  absl::Time created = {};
  std::string created_by = "";
  std::optional<absl::Time> expires = {};  // none: never
  std::optional<absl::Time> revoked = {};
  std::optional<absl::Time> used = {};  // last, to a minute
  // Idempotency keys of the calls that made and revoked it; "": none.
  std::string key = "";
  std::string revoke_key = "";
  bool operator==(const TokenRecord&) const = default;

  bool IsValid(absl::Time now) const {
    return !revoked.has_value() && (!expires.has_value() || now < *expires);
  }
};

// "caracal_" and 256 bits of the kernel's randomness, in base64url.
std::string NewToken();

// SHA-256, in hex. A slow hash would protect a secret that can be guessed; the
// 2^256 tokens can't be gone through however fast one is tried.
std::string HashOfToken(absl::string_view token);

// Takes as long for any two strings of one length.
bool SameSecret(absl::string_view a, absl::string_view b);

}  // namespace caracal

#endif  // CARACAL_JOBS_COORDINATOR_ACCESS_TOKEN_H_
