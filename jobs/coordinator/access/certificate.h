// X.509 certificates, by OpenSSL: ownership, PEM, and words for people.
#ifndef CARACAL_JOBS_COORDINATOR_ACCESS_CERTIFICATE_H_
#define CARACAL_JOBS_COORDINATOR_ACCESS_CERTIFICATE_H_

#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/x509.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace caracal {

template <typename T, void (*free)(T*)>
struct OpenSslDeleter {
  void operator()(T* object) const { free(object); }
};
using Certificate = std::unique_ptr<X509, OpenSslDeleter<X509, X509_free>>;
using PrivateKey =
    std::unique_ptr<EVP_PKEY, OpenSslDeleter<EVP_PKEY, EVP_PKEY_free>>;
using CertificateStore =
    std::unique_ptr<X509_STORE, OpenSslDeleter<X509_STORE, X509_STORE_free>>;

// All certificates of a text in PEM format, in its order. kInvalidArgument:
// there is none, or one is damaged.
absl::StatusOr<std::vector<Certificate>> ParseCertificates(
    absl::string_view pem);

// The first private key in PEM format; null: there is none without a
// passphrase.
PrivateKey ParsePrivateKey(absl::string_view pem);

// What trusts these alone: authorities, or certificates themselves.
// kInvalidArgument as of ParseCertificates.
absl::StatusOr<CertificateStore> TrustIn(absl::string_view pem);

// The common name of its subject, of who signed it; "": it has none.
std::string SubjectOf(const X509* certificate);
std::string IssuerOf(const X509* certificate);

// The first name of a server's: of the host, else its IPv4 address, else the
// common name.
std::string ServerNameIn(const X509* certificate);

// "it expired at 2026-01-31 12:00 UTC": of X509_V_ERR_..., found of
// `certificate`, which is at `depth` of its chain; 0: the one that was shown.
std::string WhyRefused(int error, int depth, const X509* certificate);

}  // namespace caracal

#endif  // CARACAL_JOBS_COORDINATOR_ACCESS_CERTIFICATE_H_
