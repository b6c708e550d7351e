// Why TLS with a coordinator fails, which gRPC does not tell those who call: it
// only says that the server is not there.
#ifndef CARACAL_JOBS_CLIENT_SERVICE_TLS_REFUSAL_H_
#define CARACAL_JOBS_CLIENT_SERVICE_TLS_REFUSAL_H_

#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "jobs/coordinator/rpc/endpoint.h"

namespace caracal {

// Makes a connection of its own, whose steps may take `patience` each. OK:
// nothing is wrong with TLS, or nobody is there. kUnauthenticated:
// "HOST:PORT: ...", which certificate is refused, whose and why, or that the
// server speaks no TLS.
absl::Status FindTlsRefusal(const Endpoint& endpoint,
                            const ClientIdentity& identity,
                            absl::Duration patience = absl::Seconds(5));

// Whether somebody at HOST:PORT answers in TLS. Makes a connection of its own,
// as above, over which nothing is said.
bool SpeaksTls(const std::string& address,
               absl::Duration patience = absl::Seconds(5));

}  // namespace caracal

#endif  // CARACAL_JOBS_CLIENT_SERVICE_TLS_REFUSAL_H_
