#include "jobs/coordinator/access/loopback.h"

#include <arpa/inet.h>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"

namespace caracal {

std::string HostOf(absl::string_view address) {
  absl::string_view host = address;
  if (absl::StartsWith(host, "[")) {
    host = host.substr(1, host.find(']') - 1);
  } else {
    host = host.substr(0, host.rfind(':'));
  }
  return absl::AsciiStrToLower(host);
}

bool IsLoopbackHost(absl::string_view host) {
  in_addr v4;
  if (inet_pton(AF_INET, std::string(host).c_str(), &v4) == 1) {
    return ntohl(v4.s_addr) >> 24 == 127;
  }
  return host == "localhost" || host == "::1";
}

bool IsLoopbackAddress(absl::string_view address) {
  return absl::StartsWith(address, "unix:") || IsLoopbackHost(HostOf(address));
}

}  // namespace caracal
