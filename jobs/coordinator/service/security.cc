#include "jobs/coordinator/service/security.h"

#include <grpcpp/security/server_credentials.h>

#include <iostream>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "core/base/host_name.h"
#include "core/base/status.h"
#include "jobs/coordinator/access/admin_notice.h"
#include "jobs/coordinator/access/loopback.h"
#include "jobs/coordinator/store/token_table.h"

namespace caracal {
namespace {

// Where callers are told apart: far more than people and scripts need.
constexpr double kRate = 100;

absl::Status CheckOptions(const SecurityOptions& o, const std::string& listen) {
  const auto refuse = [](absl::string_view why) {
    return absl::InvalidArgumentError(why);
  };
  // gRPC takes 65536 for 0.
  if (const size_t colon = listen.rfind(':'); !IsUnixAddress(listen)) {
    int port = -1;
    if (colon == 0 || colon == std::string::npos ||
        !absl::SimpleAtoi(listen.substr(colon + 1), &port) || port < 0 ||
        port > 65535) {
      return refuse(
          absl::StrCat("--listen: is '", listen, "', expected HOST:PORT"));
    }
  }
  if (o.tls.certificate.empty() != o.tls.key.empty()) {
    return refuse("--tls-certificate and --tls-key go together");
  }
  const bool tls = !o.tls.certificate.empty();
  if (!tls && !(o.tls.client_ca.empty() && o.tls.trust.empty())) {
    return refuse("--client-ca and --tls-trust need --tls-certificate");
  }
  if (o.tls.client_ca.empty() != o.certificate_roles_file.empty()) {
    return refuse(
        "--client-ca and --certificate-roles go together: the one says whose "
        "certificates are good, the other what their owners may do");
  }
  if (IsLoopbackAddress(listen)) return absl::OkStatus();
  if (!tls) {
    return refuse(absl::StrCat("others than this machine can reach ", listen,
                               ": --tls-certificate and --tls-key are needed"));
  }
  if (o.roots.empty()) {
    return refuse(absl::StrCat("others than this machine can reach ", listen,
                               ": --root has to say which folders their jobs "
                               "may read"));
  }
  return absl::OkStatus();
}

absl::StatusOr<CertificateRoles> ReadRoles(const std::string& path) {
  if (path.empty()) return CertificateRoles{};
  ASSIGN_OR_RETURN(const std::string text, FileSystem::Posix()->ReadFile(path));
  absl::StatusOr<CertificateRoles> roles = ParseCertificateRoles(text);
  if (!roles.ok()) return Annotate(roles.status(), path);
  return roles;
}

}  // namespace

absl::StatusOr<std::unique_ptr<Security>> Security::Open(
    const SecurityOptions& options, const std::string& listen,
    const std::string& audit_path, Database& database, Clock* clock) {
  RETURN_IF_ERROR(CheckOptions(options, listen));
  std::optional<ServerIdentity> identity;
  if (!options.tls.certificate.empty()) {
    ASSIGN_OR_RETURN(identity,
                     ReadServerIdentity(options.tls, clock->WallTime()));
  }
  AccessOptions access;
  ASSIGN_OR_RETURN(access.certificate_roles,
                   ReadRoles(options.certificate_roles_file));
  if (identity.has_value() && !identity->client_ca.empty()) {
    absl::StatusOr<ClientCa> client_ca = ClientCa::Of(identity->client_ca);
    if (!client_ca.ok()) {
      return Annotate(client_ca.status(), options.tls.client_ca);
    }
    access.client_ca = std::make_shared<const ClientCa>(*std::move(client_ca));
  }
  access.require_credentials = options.require_token ||
                               !IsLoopbackAddress(listen) ||
                               !options.certificate_roles_file.empty();
  ASSIGN_OR_RETURN(std::vector<TokenRecord> tokens, LoadTokens(database));
  const bool open = !access.require_credentials && tokens.empty();
  if (!open && tokens.empty() && access.certificate_roles.empty()) {
    return absl::FailedPreconditionError(
        "nobody could call: make the first token with caracald --data DIR "
        "token create NAME --role admin");
  }
  ASSIGN_OR_RETURN(PathRoots roots, PathRoots::Of(options.roots));
  ASSIGN_OR_RETURN(std::unique_ptr<AuditLog> audit,
                   AuditLog::Open(audit_path, AuditLogOptions(), clock));
  const double rate = options.rate.value_or(open ? 0 : kRate);
  return std::unique_ptr<Security>(
      new Security(std::move(access), std::move(tokens), std::move(roots), rate,
                   std::move(audit), std::move(identity), clock));
}

void Security::StoreUseIn(Coordinator* coordinator) {
  tokens_.OnUse([coordinator](int64_t id, absl::Time when) {
    coordinator->OnStore([id, when](JobStore& store) {
      // It is told again in a minute.
      TokenWasUsed(store.database(), id, when).IgnoreError();
    });
  });
}

void Security::TellHealth(grpc::HealthCheckServiceInterface* health) {
  health->SetServingStatus("audit", true);
  audit_->OnChange([health](const absl::Status& status) {
    health->SetServingStatus("audit", status.ok());
    std::clog << "caracald: "
              << (status.ok() ? "the audit log is written again"
                              : absl::StrCat("the audit log is not written: ",
                                             status.message()))
              << std::endl;
  });
}

std::string Security::AdminNotice(absl::Duration ahead) const {
  if (access_.HasAdminByCertificate()) return "";
  return caracal::AdminNotice(tokens_.All(), clock_->WallTime(), ahead);
}

std::string Security::CertificateNotice() const {
  if (!identity_.has_value()) return "";
  return caracal::CertificateNotice(identity_->expires, clock_->WallTime());
}

absl::Duration Security::UntilLastAdminExpires() const {
  const absl::Time now = clock_->WallTime();
  const absl::Time end = LastAdminExpiry(tokens_.All(), now);
  return end == absl::InfinitePast() ? absl::InfiniteDuration() : end - now;
}

std::shared_ptr<grpc::ServerCredentials> Security::Credentials() const {
  if (!identity_.has_value()) return grpc::InsecureServerCredentials();
  // Gangs and owners of tokens come without a certificate. Whether one that is
  // shown is good is for Access to say, call by call: a handshake that fails
  // tells neither the client nor the audit log why.
  grpc::SslServerCredentialsOptions tls(
      identity_->client_ca.empty()
          ? GRPC_SSL_DONT_REQUEST_CLIENT_CERTIFICATE
          : GRPC_SSL_REQUEST_CLIENT_CERTIFICATE_BUT_DONT_VERIFY);
  tls.pem_root_certs = identity_->client_ca;
  tls.pem_key_cert_pairs.push_back({identity_->key, identity_->certificate});
  return grpc::SslServerCredentials(tls);
}

Endpoint Security::EndpointOn(const std::string& address) const {
  Endpoint endpoint{address};
  const size_t colon = address.rfind(':');
  const std::string host = address.substr(0, colon);
  if (host == "0.0.0.0" || host == "[::]") {
    // All addresses of this machine: clients need one of them.
    endpoint.address = HostName() + address.substr(colon);
  }
  if (identity_.has_value()) {
    endpoint.ca = identity_->trusted;
    endpoint.server_name = identity_->name;
  }
  return endpoint;
}

}  // namespace caracal
