// Addresses that only this machine can reach.
#ifndef CARACAL_JOBS_COORDINATOR_ACCESS_LOOPBACK_H_
#define CARACAL_JOBS_COORDINATOR_ACCESS_LOOPBACK_H_

#include <string>

#include "absl/strings/string_view.h"

namespace caracal {

// "127.0.0.1", "::1" of "127.0.0.1:7273", "[::1]:7273", "[::1]"; in lower case.
std::string HostOf(absl::string_view address);

// Whether only this machine can be meant by a host, as of HostOf: localhost,
// 127.0.0.0/8, ::1. Other names are not looked up.
bool IsLoopbackHost(absl::string_view host);

// The same of an address, host:port or unix:PATH.
bool IsLoopbackAddress(absl::string_view address);

}  // namespace caracal

#endif  // CARACAL_JOBS_COORDINATOR_ACCESS_LOOPBACK_H_
