// Where a coordinator is to be reached, for those who can read its file.
#ifndef CARACAL_JOBS_COORDINATOR_RPC_ENDPOINT_H_
#define CARACAL_JOBS_COORDINATOR_RPC_ENDPOINT_H_

#include <grpcpp/channel.h>

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace caracal {

// Where it listens when nothing else is said.
inline constexpr char kDefaultAddress[] = "127.0.0.1:7272";

struct Endpoint {
  std::string address = kDefaultAddress;  // host:port, or unix:PATH
  // TLS: PEM certificates that lead to the server's own, or are it. "": none.
  std::string ca = "";
  std::string server_name = "";  // in its certificate; "": the address's host
  std::string web = "";          // of its page, host:port; "": it has none
  bool operator==(const Endpoint&) const = default;
};

// A coordinator may come back elsewhere: whoever calls it for long reads the
// file again. Atomic; kDataLoss when the file is not what Write left.
absl::Status WriteEndpoint(const Endpoint& endpoint, const std::string& path);
absl::StatusOr<Endpoint> ReadEndpoint(const std::string& path);
// As WriteEndpoint, of a file that all users can read, whatever the umask. It
// says whom clients trust: others must not be able to write to its folder.
absl::Status WritePublicEndpoint(const Endpoint& endpoint,
                                 const std::string& path);

// How a client shows by TLS who it is: PEM. Both or none.
struct ClientIdentity {
  std::string certificate = "";
  std::string key = "";
};

// Whether an address is that of a socket in the file system, unix:PATH.
bool IsUnixAddress(const std::string& address);

// Does not connect yet. Never through a proxy, whatever the environment says.
std::shared_ptr<grpc::Channel> MakeChannel(const Endpoint& endpoint,
                                           const ClientIdentity& identity = {});

}  // namespace caracal

#endif  // CARACAL_JOBS_COORDINATOR_RPC_ENDPOINT_H_
