// Whose certificates of clients are good. TLS makes sure that a client has the
// key of the certificate that it shows; whether the certificate itself is good
// is found out for each call, so that who is refused is told why, and the audit
// log tells who that was.
#ifndef CARACAL_JOBS_COORDINATOR_ACCESS_CLIENT_CA_H_
#define CARACAL_JOBS_COORDINATOR_ACCESS_CLIENT_CA_H_

#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "jobs/coordinator/access/certificate.h"

namespace caracal {

// What a client shows by TLS. All empty: nothing.
struct ClientCertificate {
  std::string name = {};   // its common name
  std::string pem = {};    // the certificate
  std::string chain = {};  // PEM: of authorities that lead to it; may be empty
};

// Thread-safe.
class ClientCa {
 public:
  // `pem`: certificates of the authorities. kInvalidArgument: there are none.
  static absl::StatusOr<ClientCa> Of(const std::string& pem);

  // Whether the certificate is good at `now`. kUnauthenticated with its name
  // and why it is not.
  absl::Status Check(const ClientCertificate& shown, absl::Time now) const;

 private:
  explicit ClientCa(CertificateStore trusted) : trusted_(std::move(trusted)) {}

  CertificateStore trusted_;
};

}  // namespace caracal

#endif  // CARACAL_JOBS_COORDINATOR_ACCESS_CLIENT_CA_H_
