#include "jobs/coordinator/service/server_identity.h"

#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <sys/stat.h>

#include <memory>

#include "absl/strings/str_cat.h"
#include "core/base/file_system.h"
#include "core/base/status.h"

namespace caracal {
namespace {

template <typename T, void (*free)(T*)>
struct Deleter {
  void operator()(T* object) const { free(object); }
};
using Certificate = std::unique_ptr<X509, Deleter<X509, X509_free>>;
using PrivateKey = std::unique_ptr<EVP_PKEY, Deleter<EVP_PKEY, EVP_PKEY_free>>;
using Names =
    std::unique_ptr<GENERAL_NAMES, Deleter<GENERAL_NAMES, GENERAL_NAMES_free>>;
struct Bio {
  explicit Bio(const std::string& text)
      : bio(BIO_new_mem_buf(text.data(), static_cast<int>(text.size()))) {}
  ~Bio() { BIO_free(bio); }
  BIO* const bio;
};

// Asks nobody.
int NoPassphrase(char*, int, int, void*) { return -1; }

std::string NameIn(const X509* certificate) {
  const Names names(static_cast<GENERAL_NAMES*>(
      X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr)));
  std::string address;
  for (int i = 0; names != nullptr && i < sk_GENERAL_NAME_num(names.get());
       ++i) {
    const GENERAL_NAME* name = sk_GENERAL_NAME_value(names.get(), i);
    if (name->type == GEN_DNS) {
      const ASN1_IA5STRING* text = name->d.dNSName;
      return std::string(
          reinterpret_cast<const char*>(ASN1_STRING_get0_data(text)),
          ASN1_STRING_length(text));
    }
    if (name->type == GEN_IPADD && address.empty()) {
      const unsigned char* bytes = ASN1_STRING_get0_data(name->d.iPAddress);
      if (ASN1_STRING_length(name->d.iPAddress) == 4) {
        address =
            absl::StrCat(bytes[0], ".", bytes[1], ".", bytes[2], ".", bytes[3]);
      }
    }
  }
  if (!address.empty()) return address;
  char common[256];
  const int size =
      X509_NAME_get_text_by_NID(X509_get_subject_name(certificate),
                                NID_commonName, common, sizeof(common));
  return size > 0 ? std::string(common, size) : "";
}

absl::StatusOr<std::string> ReadCertificates(const std::string& path,
                                             Certificate* first) {
  ASSIGN_OR_RETURN(std::string pem, FileSystem::Posix()->ReadFile(path));
  const Bio bio(pem);
  first->reset(PEM_read_bio_X509(bio.bio, nullptr, NoPassphrase, nullptr));
  if (*first == nullptr) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, ": has no certificate in PEM format"));
  }
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
  const Bio bio(out.key);
  const PrivateKey key(
      PEM_read_bio_PrivateKey(bio.bio, nullptr, NoPassphrase, nullptr));
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
  out.name = NameIn(certificate.get());
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
