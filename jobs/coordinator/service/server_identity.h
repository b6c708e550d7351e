// The certificate that caracald shows, read and looked at before it serves.
#ifndef CARACAL_JOBS_COORDINATOR_SERVICE_SERVER_IDENTITY_H_
#define CARACAL_JOBS_COORDINATOR_SERVICE_SERVER_IDENTITY_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace caracal {

struct TlsFiles {
  std::string certificate = "";  // PEM, the server's own first; "": no TLS
  std::string key = "";          // PEM, without a passphrase
  std::string trust = "";        // PEM, what clients are to trust
  std::string client_ca = "";    // PEM, who signs certificates of clients
};

struct ServerIdentity {
  std::string certificate, key, client_ca;  // PEM
  // What clients are to trust: `trust`, or the certificate itself.
  std::string trusted;
  // The first name of the certificate: of the host, else its address, else the
  // common name.
  std::string name;
  absl::Time expires;
};

// A certificate is spoken of so long before it expires.
inline constexpr absl::Duration kCertificateNoticeTime = absl::Hours(30 * 24);

// What people should know: it has expired, or does within
// kCertificateNoticeTime. "": neither.
std::string CertificateNotice(absl::Time expires, absl::Time now);

// kInvalidArgument for what is no certificate or key, a key that is another
// certificate's, one that has expired, and a key that all users can read;
// errors of the files.
absl::StatusOr<ServerIdentity> ReadServerIdentity(const TlsFiles& files,
                                                  absl::Time now);

}  // namespace caracal

#endif  // CARACAL_JOBS_COORDINATOR_SERVICE_SERVER_IDENTITY_H_
