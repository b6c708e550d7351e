// Who calls, and what they may do: asked for every call of the coordinator,
// whatever it comes by.
#ifndef CARACAL_JOBS_COORDINATOR_ACCESS_ACCESS_H_
#define CARACAL_JOBS_COORDINATOR_ACCESS_ACCESS_H_

#include <map>
#include <memory>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "core/base/clock.h"
#include "jobs/coordinator/access/client_ca.h"
#include "jobs/coordinator/access/role.h"
#include "jobs/coordinator/access/session_book.h"
#include "jobs/coordinator/access/token_book.h"

namespace caracal {

// Whoever calls where nobody has to say who they are.
inline constexpr char kLocalUser[] = "local";

// What a caller shows. All may be empty; a token goes before a session, that
// before a certificate. A certificate that is shown has to be good, whatever is
// shown beside it.
struct Credentials {
  std::string token = {};    // as in "Authorization: Bearer TOKEN"
  std::string session = {};  // of the page's cookie
  ClientCertificate certificate = {};
};

// The token of an Authorization header: of "Bearer TOKEN". "" for anything
// else.
std::string BearerToken(absl::string_view authorization);

struct Caller {
  std::string name = kLocalUser;
  Role role = Role::kAdmin;
};

// Roles by common name. Lines of "NAME ROLE"; # begins a comment.
// kInvalidArgument names the line.
using CertificateRoles = std::map<std::string, Role>;
absl::StatusOr<CertificateRoles> ParseCertificateRoles(absl::string_view text);

struct AccessOptions {
  // Even before the first token: always, where others than this machine can
  // call.
  bool require_credentials = false;
  // Null: certificates let nobody in.
  std::shared_ptr<const ClientCa> client_ca = nullptr;
  CertificateRoles certificate_roles = {};
};

// A session of the page that has begun.
struct SignedIn {
  Caller caller;
  std::string session;  // a secret
};

// Thread-safe.
class Access {
 public:
  // Both outlive it.
  Access(AccessOptions options, TokenBook* tokens, Clock* clock)
      : options_(std::move(options)), tokens_(tokens), clock_(clock) {}

  // Everybody may do everything, as kLocalUser: no token was ever made, and
  // none is required.
  bool IsOpen() const {
    return !options_.require_credentials && tokens_->empty();
  }

  // Admins may come without a token.
  bool HasAdminByCertificate() const;

  // kUnauthenticated, kPermissionDenied (a certificate without a role).
  absl::StatusOr<Caller> Authenticate(const Credentials& credentials) const;
  // The same of somebody who has to have this role: kPermissionDenied.
  absl::StatusOr<Caller> Authorize(const Credentials& credentials,
                                   Role needed) const;

  // A session that stands for the token, until kSessionLifetime has passed, the
  // token is revoked or expires, or SignOut. kUnauthenticated;
  // kFailedPrecondition where nobody has to say who they are.
  absl::StatusOr<SignedIn> SignIn(const std::string& token);
  void SignOut(absl::string_view session) { sessions_.End(session); }

 private:
  const AccessOptions options_;
  TokenBook* const tokens_;
  Clock* const clock_;
  SessionBook sessions_;
};

// kPermissionDenied unless the caller has this role.
absl::Status CheckRole(const Caller& caller, Role needed);

// kPermissionDenied unless the caller may change jobs of `owner`: the owner and
// admins do.
absl::Status CheckOwner(const Caller& caller, absl::string_view owner);

}  // namespace caracal

#endif  // CARACAL_JOBS_COORDINATOR_ACCESS_ACCESS_H_
