// Signing in to the page with a token, and out again.
#ifndef CARACAL_JOBS_COORDINATOR_WEB_SIGN_IN_H_
#define CARACAL_JOBS_COORDINATOR_WEB_SIGN_IN_H_

#include <string>

#include "core/base/clock.h"
#include "jobs/coordinator/access/access.h"
#include "jobs/coordinator/access/audit_log.h"
#include "jobs/coordinator/access/rate_limit.h"
#include "jobs/coordinator/web/request.h"

namespace caracal {

// Of the cookie that holds a session. Browsers tell cookies of one host's ports
// apart by their names alone.
std::string SessionCookie(int port);

// Thread-safe. Requests that it answers were let through by CheckOrigin.
class SignIn {
 public:
  // `cookie`: its name. Without `audit` nothing is logged; all others outlive
  // it.
  SignIn(Access* access, AuditLog* audit, Clock* clock, std::string cookie);

  // GET  /api/session       {"required", "user": {"name", "role"} or null}
  // POST /api/session       {"token"}: the same, with the session's cookie.
  // 401;
  //                         429 for attempts that come too fast
  // POST /api/session/end   the same, without it
  WebAnswer Handle(const WebRequest& request);

 private:
  WebAnswer Who(const WebRequest& request) const;
  WebAnswer Begin(const WebRequest& request);
  WebAnswer End(const WebRequest& request);
  void Log(const char* method, const Caller* caller,
           const absl::Status& outcome) const;
  std::string Cookie(const WebRequest& request, const std::string& value,
                     absl::Duration lifetime) const;

  Access* const access_;
  AuditLog* const audit_;
  const std::string cookie_;
  RateLimit attempts_;
};

}  // namespace caracal

#endif  // CARACAL_JOBS_COORDINATOR_WEB_SIGN_IN_H_
