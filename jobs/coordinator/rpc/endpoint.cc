#include "jobs/coordinator/rpc/endpoint.h"

#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>
#include <grpcpp/support/channel_arguments.h>

#include <nlohmann/json.hpp>

#include "core/base/file_system.h"
#include "core/base/status.h"
#include "core/io/json.h"

namespace caracal {
namespace {

constexpr size_t kMaxBytes = 1 << 16;
constexpr int kMaxMessage = 64 << 20;  // of the server, whom we trust

}  // namespace

absl::Status WriteEndpoint(const Endpoint& endpoint, const std::string& path) {
  nlohmann::ordered_json json = {{"address", endpoint.address}};
  if (!endpoint.web.empty()) json["web"] = endpoint.web;
  return FileSystem::Posix()->WriteFileAtomically(path, json.dump() + "\n");
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
    return out;
  };
  absl::StatusOr<Endpoint> endpoint = read();
  if (!endpoint.ok()) return Annotate(endpoint.status(), path);
  return endpoint;
}

std::shared_ptr<grpc::Channel> MakeChannel(const Endpoint& endpoint) {
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  arguments.SetMaxReceiveMessageSize(kMaxMessage);
  // A coordinator that was started again is found soon.
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, 100);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 2000);
  // Its own connection, not one of this process with a state of its own.
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  return grpc::CreateCustomChannel(
      endpoint.address, grpc::InsecureChannelCredentials(), arguments);
}

}  // namespace caracal
