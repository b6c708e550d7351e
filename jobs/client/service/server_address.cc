#include "jobs/client/service/server_address.h"

#include <string>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "jobs/coordinator/rpc/endpoint.h"

namespace caracal {
namespace {

// What is wrong with it; "": nothing.
absl::string_view FaultOf(absl::string_view server) {
  if (server.empty()) return "is empty";
  if (absl::StartsWith(server, "unix:")) return "";
  if (absl::StartsWithIgnoreCase(server, "http://") ||
      absl::StartsWithIgnoreCase(server, "https://")) {
    return "is the address of a page";
  }
  const size_t colon = server.rfind(':');
  if (colon == absl::string_view::npos || server.back() == ']') {
    return "has no port";
  }
  const absl::string_view host = server.substr(0, colon);
  if (host.empty()) return "has no host";
  // "::1": its last part may look like a port.
  if (host.find(':') != absl::string_view::npos && host.back() != ']') {
    return "needs brackets, as in [::1]:7272";
  }
  int port = 0;
  if (!absl::SimpleAtoi(server.substr(colon + 1), &port) || port < 1 ||
      port > 65535) {
    return "has no port from 1 to 65535";
  }
  return "";
}

}  // namespace

absl::Status CheckServerAddress(absl::string_view server) {
  const absl::string_view fault = FaultOf(server);
  if (fault.empty()) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("--server (or CARACAL_SERVER): '", server, "' ", fault,
                   ": expected HOST:PORT, such as ", kDefaultAddress,
                   ", the path of an endpoint.json or the folder of a run"));
}

}  // namespace caracal
