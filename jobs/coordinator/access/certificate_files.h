// Files in PEM format that are what they are given for.
#ifndef CARACAL_JOBS_COORDINATOR_ACCESS_CERTIFICATE_FILES_H_
#define CARACAL_JOBS_COORDINATOR_ACCESS_CERTIFICATE_FILES_H_

#include <string>

#include "absl/status/statusor.h"

namespace caracal {

// The text of a file that holds certificates. Errors name the file:
// kInvalidArgument where it holds none, or a damaged one.
absl::StatusOr<std::string> ReadCertificateFile(const std::string& path);

struct CertificateAndKey {
  std::string certificate, key;  // PEM
};

// The certificate and its private key. Errors name the file:
// kInvalidArgument also for a key that is encrypted or is not that of the
// certificate, which names both.
absl::StatusOr<CertificateAndKey> ReadCertificateAndKey(
    const std::string& certificate_path, const std::string& key_path);

}  // namespace caracal

#endif  // CARACAL_JOBS_COORDINATOR_ACCESS_CERTIFICATE_FILES_H_
