#include "jobs/coordinator/rpc/endpoint.h"

#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>
#include <grpcpp/support/channel_arguments.h>
#include <sys/stat.h>

#include <cerrno>
#include <nlohmann/json.hpp>

#include "absl/strings/match.h"
#include "core/base/file_system.h"
#include "core/base/status.h"
#include "core/io/json.h"

namespace caracal {
namespace {

constexpr size_t kMaxBytes = 1 << 16;
constexpr int kMaxMessage = 64 << 20;  // of the server, whom we trust
constexpr int kMostBetweenTriesMs = 2000;

std::string TextOf(const Endpoint& endpoint) {
  nlohmann::ordered_json json = {{"address", endpoint.address}};
  if (!endpoint.web.empty()) json["web"] = endpoint.web;
  if (!endpoint.ca.empty()) json["ca"] = endpoint.ca;
  if (!endpoint.server_name.empty()) json["server_name"] = endpoint.server_name;
  return json.dump() + "\n";
}

}  // namespace

absl::Status WriteEndpoint(const Endpoint& endpoint, const std::string& path) {
  return FileSystem::Posix()->WriteFileAtomically(path, TextOf(endpoint));
}

absl::Status WritePublicEndpoint(const Endpoint& endpoint,
                                 const std::string& path) {
  FileSystem* const files = FileSystem::Posix();
  // Readable before it has its name: there is no moment at which it is not.
  const std::string fresh = path + ".new";
  RETURN_IF_ERROR(files->WriteFileAtomically(fresh, TextOf(endpoint)));
  if (chmod(fresh.c_str(), 0644) != 0) {
    return ErrnoStatus(errno, absl::StrCat("chmod ", fresh));
  }
  return files->CommitFile(fresh, path);
}

absl::StatusOr<Endpoint> ReadEndpoint(const std::string& path) {
  ASSIGN_OR_RETURN(const std::string text, FileSystem::Posix()->ReadFile(path));
  const auto read = [&]() -> absl::StatusOr<Endpoint> {
    ASSIGN_OR_RETURN(const nlohmann::json json,
                     ParseBoundedJson(text, kMaxBytes));
    if (!json.is_object()) return absl::DataLossError("is no JSON object");
    Endpoint out;
    const JsonFields fields(json);
    RETURN_IF_ERROR(fields.Require("address"));
    RETURN_IF_ERROR(fields.Get("address", &out.address));
    RETURN_IF_ERROR(fields.Get("web", &out.web));
    RETURN_IF_ERROR(fields.Get("ca", &out.ca));
    RETURN_IF_ERROR(fields.Get("server_name", &out.server_name));
    return out;
  };
  absl::StatusOr<Endpoint> endpoint = read();
  if (!endpoint.ok()) return Annotate(endpoint.status(), path);
  return endpoint;
}

bool IsUnixAddress(const std::string& address) {
  return absl::StartsWith(address, "unix:");
}

std::shared_ptr<grpc::Channel> MakeChannel(const Endpoint& endpoint,
                                           const ClientIdentity& identity) {
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  arguments.SetMaxReceiveMessageSize(kMaxMessage);
  // A coordinator that was started again is found soon: tries follow each other
  // quickly at first, and none takes longer than this.
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 100);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, kMostBetweenTriesMs);
  // By gRPC's name a time between tries, but it is that which one may take.
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, kMostBetweenTriesMs);
  // Its own connection, not one of this process with a state of its own.
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  if (endpoint.ca.empty()) {
    return grpc::CreateCustomChannel(
        endpoint.address, grpc::InsecureChannelCredentials(), arguments);
  }
  grpc::SslCredentialsOptions tls;
  tls.pem_root_certs = endpoint.ca;
  tls.pem_private_key = identity.key;
  tls.pem_cert_chain = identity.certificate;
  if (!endpoint.server_name.empty()) {
    arguments.SetSslTargetNameOverride(endpoint.server_name);
  }
  return grpc::CreateCustomChannel(endpoint.address, grpc::SslCredentials(tls),
                                   arguments);
}

}  // namespace caracal
