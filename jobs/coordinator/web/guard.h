// Who may ask the page's server for what.
#ifndef CARACAL_JOBS_COORDINATOR_WEB_GUARD_H_
#define CARACAL_JOBS_COORDINATOR_WEB_GUARD_H_

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "jobs/coordinator/access/access.h"
#include "jobs/coordinator/web/request.h"

namespace caracal {

// A header that pages of other origins cannot send without being asked about
// first, which is never allowed: whatever changes something has to bear it.
inline constexpr char kChangeHeader[] = "x-caracal-request";

// kPermissionDenied for requests that a page of another origin has made the
// browser send: those to a name that is not ours (a name of the attacker's that
// leads here), and changes without the header or from elsewhere. `listens_on`:
// the host that was listened on.
absl::Status CheckOrigin(const WebRequest& request,
                         absl::string_view listens_on);

// Who asks, by the token of the header Authorization, or else the session of
// the page's cookie. kUnauthenticated,
// kPermissionDenied. Where no token is needed, those on this machine may do
// everything, and nobody else is listened to.
absl::StatusOr<Caller> Authorize(const WebRequest& request,
                                 const Access& access, Role needed);

}  // namespace caracal

#endif  // CARACAL_JOBS_COORDINATOR_WEB_GUARD_H_
