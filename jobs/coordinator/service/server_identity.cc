#include "jobs/coordinator/service/server_identity.h"

#include <openssl/asn1.h>
#include <sys/stat.h>

#include <ctime>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/base/status.h"
#include "jobs/coordinator/access/admin_notice.h"
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
  tm expires = {};
  if (ASN1_TIME_to_tm(X509_get0_notAfter(certificate.get()), &expires) != 1) {
    return absl::InvalidArgumentError(
        absl::StrCat(files.certificate, ": can't tell when it expires"));
  }
  out.expires = absl::FromTimeT(timegm(&expires));
  if (out.expires < now) {
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

std::string CertificateNotice(absl::Time expires, absl::Time now) {
  const std::string when = FormatExpiry(expires);
  if (expires <= now) {
    return absl::StrCat("the server's certificate expired at ", when,
                        ": callers refuse it; start with a new one");
  }
  if (expires - now > kCertificateNoticeTime) return "";
  return absl::StrCat("the server's certificate expires at ", when,
                      ": start with a new one before it does");
}

}  // namespace caracal
