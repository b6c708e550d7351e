#include "jobs/coordinator/access/certificate_files.h"

#include <vector>

#include "absl/strings/str_cat.h"
#include "core/base/file_system.h"
#include "core/base/status.h"
#include "jobs/coordinator/access/certificate.h"

namespace caracal {

absl::StatusOr<std::string> ReadCertificateFile(const std::string& path) {
  ASSIGN_OR_RETURN(std::string pem, FileSystem::Posix()->ReadFile(path));
  RETURN_IF_ERROR(Annotate(ParseCertificates(pem).status(), path));
  return pem;
}

absl::StatusOr<CertificateAndKey> ReadCertificateAndKey(
    const std::string& certificate_path, const std::string& key_path) {
  CertificateAndKey out;
  ASSIGN_OR_RETURN(out.certificate, ReadCertificateFile(certificate_path));
  ASSIGN_OR_RETURN(out.key, FileSystem::Posix()->ReadFile(key_path));
  ASSIGN_OR_RETURN(const std::vector<Certificate> certificates,
                   ParseCertificates(out.certificate));
  const PrivateKey key = ParsePrivateKey(out.key);
  if (key == nullptr) {
    return absl::InvalidArgumentError(absl::StrCat(
        key_path, ": has no private key in PEM format, without a passphrase"));
  }
  if (X509_check_private_key(certificates[0].get(), key.get()) != 1) {
    return absl::InvalidArgumentError(
        absl::StrCat(key_path, ": is not the key of ", certificate_path));
  }
  return out;
}

}  // namespace caracal
