#include "jobs/client/service/server_option.h"

#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "core/base/file_system.h"
#include "core/base/random.h"
#include "core/base/status.h"
#include "jobs/client/service/server_address.h"
#include "jobs/client/service/tls_refusal.h"
#include "jobs/client/service/token_source.h"
#include "jobs/coordinator/access/certificate_files.h"
#include "jobs/coordinator/access/loopback.h"
#include "jobs/coordinator/rpc/wire.h"

namespace caracal {
namespace {

constexpr std::chrono::seconds kPatience{30};
constexpr std::chrono::milliseconds kConnecting{300};
constexpr size_t kKeyBytes = 16;

bool IsFolder(const std::string& server) {
  return !IsUnixAddress(server) && FileSystem::Posix()->IsFolder(server);
}

// Whether it is meant as the path of an endpoint file: that one may not be
// there.
bool IsFile(const std::string& server) {
  if (IsUnixAddress(server) || absl::StrContains(server, "://")) return false;
  return absl::StrContains(server, '/') || FileSystem::Posix()->Exists(server);
}

// The endpoint file in a run's folder, or in a coordinator's. "": there is
// none.
std::string EndpointIn(const std::string& folder) {
  for (const char* name : {"coordinator/endpoint.json", "endpoint.json"}) {
    const std::string path = JoinPath(folder, name);
    if (FileSystem::Posix()->Exists(path)) return path;
  }
  return "";
}

}  // namespace

void ServerOption::Declare(CLI::App& app) {
  server = kDefaultAddress;
  app.add_option("--server", server,
                 "the coordinator: HOST:PORT, the path of its endpoint.json, "
                 "or the folder of a run that `caracal run` is at")
      ->type_name("SERVER")
      ->envname("CARACAL_SERVER")
      ->capture_default_str();
  DeclareCredentials(app);
}

void ServerOption::DeclareOptional(CLI::App& app, const std::string& help) {
  app.add_option("--server", server, help)->type_name("SERVER");
  DeclareCredentials(app);
}

void ServerOption::DeclareCredentials(CLI::App& app) {
  const auto file = [&](const char* name, std::string* value,
                        const char* variable, const char* help) {
    app.add_option(name, *value, help)->type_name("FILE")->envname(variable);
  };
  file("--ca", &ca, "CARACAL_CA",
       "whose certificates to trust, in PEM format; by default as the "
       "endpoint.json says");
  file("--certificate", &certificate, "CARACAL_CERTIFICATE",
       "certificate that says who you are");
  file("--certificate-key", &key, "CARACAL_CERTIFICATE_KEY", "its key");
  file("--token-file", &token_file, "CARACAL_TOKEN_FILE",
       "holds your token; by default CARACAL_TOKEN, or "
       "~/.config/caracal/token");
}

absl::StatusOr<Endpoint> ServerOption::FindEndpoint() const {
  Endpoint endpoint{server};
  if (IsFolder(server)) {
    const std::string file = EndpointIn(server);
    if (file.empty()) return ExplainFolder("holds no endpoint.json");
    ASSIGN_OR_RETURN(endpoint, ReadEndpoint(file));
  } else if (IsFile(server)) {
    ASSIGN_OR_RETURN(endpoint, ReadEndpoint(server));
  } else {
    RETURN_IF_ERROR(CheckServerAddress(server));
  }
  if (!ca.empty()) {
    ASSIGN_OR_RETURN(endpoint.ca, ReadCertificateFile(ca));
  }
  return endpoint;
}

absl::StatusOr<ClientIdentity> ServerOption::FindIdentity(
    const Endpoint& endpoint) const {
  if (certificate.empty() != key.empty()) {
    return absl::InvalidArgumentError(
        "--certificate and --certificate-key go together");
  }
  ClientIdentity identity;
  if (!certificate.empty()) {
    if (endpoint.ca.empty()) {
      return absl::FailedPreconditionError(
          "--certificate needs TLS: --ca says whose certificates to trust");
    }
    ASSIGN_OR_RETURN(CertificateAndKey own,
                     ReadCertificateAndKey(certificate, key));
    identity.certificate = std::move(own.certificate);
    identity.key = std::move(own.key);
  }
  return identity;
}

absl::StatusOr<std::shared_ptr<grpc::Channel>> ServerOption::Channel() const {
  ASSIGN_OR_RETURN(const Endpoint endpoint, FindEndpoint());
  ASSIGN_OR_RETURN(const ClientIdentity identity, FindIdentity(endpoint));
  std::shared_ptr<grpc::Channel> channel = MakeChannel(endpoint, identity);
  // A call fails at once where the first try to connect does. Others follow:
  // the coordinator may be just starting, and gRPC 1.51 may take what another
  // thing has left in errno for a connect() that failed.
  channel->WaitForConnected(std::chrono::system_clock::now() + kConnecting);
  return channel;
}

absl::StatusOr<std::unique_ptr<proto::Jobs::Stub>> ServerOption::Connect()
    const {
  ASSIGN_OR_RETURN(const std::shared_ptr<grpc::Channel> channel, Channel());
  return proto::Jobs::NewStub(channel);
}

absl::Status ServerOption::AddToken(grpc::ClientContext* context) const {
  ASSIGN_OR_RETURN(
      const std::string token,
      FindToken(token_file, [](const char* name) { return getenv(name); }));
  if (token.empty()) return absl::OkStatus();
  ASSIGN_OR_RETURN(const Endpoint endpoint, FindEndpoint());
  if (endpoint.ca.empty() && !IsLoopbackAddress(endpoint.address)) {
    return absl::FailedPreconditionError(absl::StrCat(
        "your token is not sent to ", endpoint.address,
        " without TLS; --ca says whose certificates to trust, or --server "
        "names the endpoint.json, which does"));
  }
  context->AddMetadata("authorization", absl::StrCat("Bearer ", token));
  return absl::OkStatus();
}

void ServerOption::SetDeadline(grpc::ClientContext* context) {
  context->set_deadline(std::chrono::system_clock::now() + kPatience);
}

absl::Status ServerOption::ExplainFolder(const std::string& why) const {
  return absl::UnavailableError(absl::StrCat(
      server, ": no coordinator is there now (", why,
      "): a run that has ended, or was killed, has none. `caracal inspect ",
      server, "` shows what it holds"));
}

absl::Status ServerOption::ExplainAway(const std::string& why) const {
  const absl::StatusOr<Endpoint> endpoint = FindEndpoint();
  if (endpoint.ok()) {
    const absl::StatusOr<ClientIdentity> identity = FindIdentity(*endpoint);
    // Of certificates gRPC says no more than that there is no connection.
    if (identity.ok()) RETURN_IF_ERROR(FindTlsRefusal(*endpoint, *identity));
    if (endpoint->ca.empty() && !IsUnixAddress(endpoint->address) &&
        SpeaksTls(endpoint->address)) {
      return absl::FailedPreconditionError(absl::StrCat(
          endpoint->address,
          " speaks TLS: give --ca, which says whose "
          "certificates to trust, or its endpoint.json as --server"));
    }
  }
  return absl::UnavailableError(absl::StrCat(
      "no coordinator answers at ", server, " (", why,
      "); start one with caracald --data DIR, or say where it is with "
      "--server or CARACAL_SERVER"));
}

absl::Status ServerOption::Explain(const grpc::Status& status) const {
  const absl::Status plain = FromGrpc(status);
  switch (status.error_code()) {
    case grpc::StatusCode::UNAVAILABLE:
      if (!IsAway(status)) return plain;
      if (IsFolder(server)) return ExplainFolder(status.error_message());
      return ExplainAway(status.error_message());
    case grpc::StatusCode::UNAUTHENTICATED: {
      const absl::StatusOr<Endpoint> endpoint = FindEndpoint();
      return absl::UnauthenticatedError(
          absl::StrCat(endpoint.ok() ? endpoint->address : server,
                       " does not let you in: ", plain.message()));
    }
    case grpc::StatusCode::DEADLINE_EXCEEDED:
      return absl::UnavailableError(absl::StrCat(
          "the coordinator at ", server, " did not answer in time; try again"));
    default:
      return plain;
  }
}

std::string NewIdempotencyKey() { return RandomHex(kKeyBytes); }

}  // namespace caracal
