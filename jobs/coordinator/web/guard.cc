#include "jobs/coordinator/web/guard.h"

#include "absl/strings/str_cat.h"
#include "jobs/coordinator/access/loopback.h"

namespace caracal {

absl::Status CheckOrigin(const WebRequest& request,
                         absl::string_view listens_on) {
  const std::string asked = request.Header("host");
  const std::string host = HostOf(asked);
  const bool ours = host == listens_on ||
                    (IsLoopbackHost(host) && IsLoopbackHost(listens_on));
  if (!ours) {
    return absl::PermissionDeniedError(
        absl::StrCat("Host: is '", asked,
                     "', expected the address that caracald listens ", "on"));
  }
  if (request.method == "GET" || request.method == "HEAD") {
    return absl::OkStatus();
  }
  if (request.Header(kChangeHeader).empty()) {
    return absl::PermissionDeniedError(absl::StrCat(
        "changes need a header ", kChangeHeader,
        " (of any value), so that no other page can ask for them"));
  }
  // Programs send none; browsers always do.
  const std::string origin = request.Header("origin");
  if (!origin.empty() && origin != "http://" + asked &&
      origin != "https://" + asked) {
    return absl::PermissionDeniedError(
        absl::StrCat("Origin: is '", origin, "', expected that of this page"));
  }
  const std::string site = request.Header("sec-fetch-site");
  if (!site.empty() && site != "same-origin" && site != "none") {
    return absl::PermissionDeniedError(
        absl::StrCat("Sec-Fetch-Site: is '", site, "', expected same-origin"));
  }
  return absl::OkStatus();
}

absl::StatusOr<Caller> Authorize(const WebRequest& request,
                                 const Access& access, Role needed) {
  return access.Authorize(
      {.token = BearerToken(request.Header("authorization")),
       .session = request.session},
      needed);
}

}  // namespace caracal
