#include "jobs/coordinator/service/server_identity.h"

#include <sys/stat.h>

#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/base/status.h"
#include "jobs/coordinator/access/certificate.h"
#include "jobs/coordinator/access/certificate_files.h"

namespace caracal {

absl::StatusOr<ServerIdentity> ReadServerIdentity(const TlsFiles& files,
                                                  absl::Time now) {
  struct stat info;
  if (stat(files.key.c_str(), &info) == 0 && (info.st_mode & 0007) != 0) {
    return absl::InvalidArgumentError(
        absl::StrCat(files.key, ": every user can read it; chmod 600 it"));
  }
  ServerIdentity out;
  ASSIGN_OR_RETURN(CertificateAndKey own,
                   ReadCertificateAndKey(files.certificate, files.key));
  out.certificate = std::move(own.certificate);
  out.key = std::move(own.key);
  ASSIGN_OR_RETURN(const std::vector<Certificate> certificates,
                   ParseCertificates(out.certificate));
  const Certificate& certificate = certificates[0];
  time_t seconds = absl::ToTimeT(now);
  if (X509_cmp_time(X509_get0_notAfter(certificate.get()), &seconds) < 0) {
    return absl::InvalidArgumentError(
        absl::StrCat(files.certificate, ": has expired"));
  }
  out.name = ServerNameIn(certificate.get());
  out.trusted = out.certificate;
  if (!files.trust.empty()) {
    ASSIGN_OR_RETURN(out.trusted, ReadCertificateFile(files.trust));
  }
  if (!files.client_ca.empty()) {
    ASSIGN_OR_RETURN(out.client_ca, ReadCertificateFile(files.client_ca));
  }
  return out;
}

}  // namespace caracal
