// What may stand for a coordinator in --server and CARACAL_SERVER.
#ifndef CARACAL_JOBS_CLIENT_SERVICE_SERVER_ADDRESS_H_
#define CARACAL_JOBS_CLIENT_SERVICE_SERVER_ADDRESS_H_

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace caracal {

// Of what names no file: kInvalidArgument, for people, unless it is HOST:PORT
// or unix:PATH. gRPC would call port 0 of a host without one, and take the
// address of a page for a host's name.
absl::Status CheckServerAddress(absl::string_view server);

}  // namespace caracal

#endif  // CARACAL_JOBS_CLIENT_SERVICE_SERVER_ADDRESS_H_
