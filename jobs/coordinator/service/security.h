// All that stands between the coordinator and those who call it, from options
// to the parts that its services use.
#ifndef CARACAL_JOBS_COORDINATOR_SERVICE_SECURITY_H_
#define CARACAL_JOBS_COORDINATOR_SERVICE_SECURITY_H_

#include <grpcpp/grpcpp.h>
#include <grpcpp/health_check_service_interface.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "core/base/clock.h"
#include "jobs/coordinator/access/access.h"
#include "jobs/coordinator/access/audit_log.h"
#include "jobs/coordinator/access/rate_limit.h"
#include "jobs/coordinator/access/rooted_file_system.h"
#include "jobs/coordinator/engine/coordinator.h"
#include "jobs/coordinator/rpc/door.h"
#include "jobs/coordinator/rpc/endpoint.h"
#include "jobs/coordinator/service/server_identity.h"
#include "jobs/coordinator/store/database.h"

namespace caracal {

struct SecurityOptions {
  TlsFiles tls;
  std::string certificate_roles_file = "";
  bool require_token = false;      // on loopback, too
  std::vector<std::string> roots;  // that jobs may read; none: everything
  std::optional<double> rate;      // calls a second of each caller; 0: no limit
};

class Security {
 public:
  // For a server on `listen`. kInvalidArgument: options that don't go together
  // or leave a door open; kFailedPrecondition: nobody could call. Errors of
  // files and of the database, which is used only meanwhile. The clock outlives
  // it.
  static absl::StatusOr<std::unique_ptr<Security>> Open(
      const SecurityOptions& options, const std::string& listen,
      const std::string& audit_path, Database& database, Clock* clock);

  // Where the use of tokens is stored. Before the first call.
  void StoreUseIn(Coordinator* coordinator);

  // Whether the audit log can be written: the health of a service "audit", and
  // a line on standard error. `health` outlives all calls.
  void TellHealth(grpc::HealthCheckServiceInterface* health);

  // AdminNotice() of its tokens; "" where admins come by certificate.
  std::string AdminNotice(absl::Duration ahead) const;
  // Until it has that no admin has a token any more; infinite where it has that
  // already, or never will of itself.
  absl::Duration UntilLastAdminExpires() const;

  // Of the server's certificate; none: it shows none.
  std::optional<absl::Time> CertificateExpiry() const {
    if (!identity_.has_value()) return std::nullopt;
    return identity_->expires;
  }
  // CertificateNotice() of it.
  std::string CertificateNotice() const;

  // Of a listening port, and where clients find it.
  std::shared_ptr<grpc::ServerCredentials> Credentials() const;
  Endpoint EndpointOn(const std::string& address) const;

  TokenBook& tokens() { return tokens_; }
  Access& access() { return access_; }
  AuditLog& audit() { return *audit_; }
  Door& door() { return door_; }
  RateLimit& rate() { return rate_; }
  RootedFileSystem& files() { return files_; }

 private:
  Security(AccessOptions access, std::vector<TokenRecord> tokens,
           PathRoots roots, double rate, std::unique_ptr<AuditLog> audit,
           std::optional<ServerIdentity> identity, Clock* clock)
      : identity_(std::move(identity)),
        clock_(clock),
        tokens_(std::move(tokens)),
        access_(std::move(access), &tokens_, clock),
        rate_(rate, clock),
        audit_(std::move(audit)),
        door_(&access_, &rate_, audit_.get()),
        files_(std::move(roots), FileSystem::Posix()) {}

  const std::optional<ServerIdentity> identity_;
  Clock* const clock_;
  TokenBook tokens_;
  Access access_;
  RateLimit rate_;
  const std::unique_ptr<AuditLog> audit_;
  Door door_;
  RootedFileSystem files_;
};

}  // namespace caracal

#endif  // CARACAL_JOBS_COORDINATOR_SERVICE_SECURITY_H_
