// What the gRPC library prints by itself. Both are for main(), before the first
// use of gRPC, and do nothing where GRPC_VERBOSITY is set: then the library
// prints what it says, as it does.
#ifndef CARACAL_JOBS_COORDINATOR_RPC_GRPC_LOG_H_
#define CARACAL_JOBS_COORDINATOR_RPC_GRPC_LOG_H_

#include <string>

#include "absl/strings/string_view.h"

namespace caracal {

// Nothing: of programs whose calls tell their errors.
void SilenceGrpcLog();

// On standard error, one line each, after `program`. Handshakes that fail,
// which anybody can cause, once a second, and how many there were.
void TellGrpcLog(const std::string& program);

// "a client did not trust the certificate of this server (tlsv1 alert unknown
// ca)": of a line of the library's about a handshake that failed; "": it is
// about something else.
std::string FailedHandshake(absl::string_view line);

}  // namespace caracal

#endif  // CARACAL_JOBS_COORDINATOR_RPC_GRPC_LOG_H_
