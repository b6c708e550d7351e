#include "jobs/coordinator/service/server_identity.h"

#include <sys/stat.h>

#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/base/file_system.h"
#include "core/base/status.h"
#include "jobs/coordinator/access/certificate.h"

namespace caracal {
namespace {

absl::StatusOr<std::string> ReadCertificates(const std::string& path,
                                             Certificate* first) {
  ASSIGN_OR_RETURN(std::string pem, FileSystem::Posix()->ReadFile(path));
  absl::StatusOr<std::vector<Certificate>> found = ParseCertificates(pem);
  if (!found.ok()) return Annotate(found.status(), path);
  *first = std::move(found->front());
  return pem;
}

}  // namespace

absl::StatusOr<ServerIdentity> ReadServerIdentity(const TlsFiles& files,
                                                  absl::Time now) {
  ServerIdentity out;
  Certificate certificate, other;
  ASSIGN_OR_RETURN(out.certificate,
                   ReadCertificates(files.certificate, &certificate));
  ASSIGN_OR_RETURN(out.key, FileSystem::Posix()->ReadFile(files.key));
  struct stat info;
  if (stat(files.key.c_str(), &info) == 0 && (info.st_mode & 0007) != 0) {
    return absl::InvalidArgumentError(
        absl::StrCat(files.key, ": every user can read it; chmod 600 it"));
  }
  const PrivateKey key = ParsePrivateKey(out.key);
  if (key == nullptr) {
    return absl::InvalidArgumentError(absl::StrCat(
        files.key, ": has no private key in PEM format, without a passphrase"));
  }
  if (X509_check_private_key(certificate.get(), key.get()) != 1) {
    return absl::InvalidArgumentError(
        absl::StrCat(files.key, ": is not the key of ", files.certificate));
  }
  time_t seconds = absl::ToTimeT(now);
  if (X509_cmp_time(X509_get0_notAfter(certificate.get()), &seconds) < 0) {
    return absl::InvalidArgumentError(
        absl::StrCat(files.certificate, ": has expired"));
  }
  out.name = ServerNameIn(certificate.get());
  out.trusted = out.certificate;
  if (!files.trust.empty()) {
    ASSIGN_OR_RETURN(out.trusted, ReadCertificates(files.trust, &other));
  }
  if (!files.client_ca.empty()) {
    ASSIGN_OR_RETURN(out.client_ca, ReadCertificates(files.client_ca, &other));
  }
  return out;
}

}  // namespace caracal
