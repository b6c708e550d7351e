#include "jobs/coordinator/access/testing/certificates.h"

#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "jobs/coordinator/access/certificate.h"
#include "kernels/common/check.h"

namespace caracal {
namespace {

template <typename Write>
std::string Pem(Write write) {
  BIO* const bio = BIO_new(BIO_s_mem());
  CARACAL_CHECK(write(bio) == 1);
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio, &data);
  std::string text(data, size);
  BIO_free(bio);
  return text;
}

void Add(X509* certificate, X509* issuer, int nid, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx_nodb(&context);
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  X509_EXTENSION* const extension =
      X509V3_EXT_conf_nid(nullptr, &context, nid, value.c_str());
  CARACAL_CHECK(extension != nullptr) << value;
  X509_add_ext(certificate, extension, -1);
  X509_EXTENSION_free(extension);
}

}  // namespace

TestCertificate MakeTestCertificate(const std::string& name,
                                    const TestCertificate* signer,
                                    absl::Time begins, absl::Time ends,
                                    const std::string& host) {
  const PrivateKey key(EVP_EC_gen("P-256"));
  const Certificate own(X509_new());
  static int serial = 0;
  X509_set_version(own.get(), X509_VERSION_3);
  ASN1_INTEGER_set(X509_get_serialNumber(own.get()), ++serial);
  ASN1_TIME_set(X509_getm_notBefore(own.get()), absl::ToTimeT(begins));
  ASN1_TIME_set(X509_getm_notAfter(own.get()), absl::ToTimeT(ends));
  X509_set_pubkey(own.get(), key.get());
  X509_NAME* const subject = X509_get_subject_name(own.get());
  X509_NAME_add_entry_by_txt(
      subject, "CN", MBSTRING_UTF8,
      reinterpret_cast<const unsigned char*>(name.c_str()), -1, -1, 0);
  if (!host.empty()) Add(own.get(), own.get(), NID_subject_alt_name, host);
  if (signer == nullptr) {
    X509_set_issuer_name(own.get(), subject);
    Add(own.get(), own.get(), NID_basic_constraints, "critical,CA:TRUE");
    CARACAL_CHECK(X509_sign(own.get(), key.get(), EVP_sha256()) > 0);
  } else {
    const auto issuers = ParseCertificates(signer->certificate);
    X509_set_issuer_name(own.get(),
                         X509_get_subject_name(issuers->front().get()));
    const PrivateKey by = ParsePrivateKey(signer->key);
    CARACAL_CHECK(X509_sign(own.get(), by.get(), EVP_sha256()) > 0);
  }
  return {Pem([&](BIO* bio) { return PEM_write_bio_X509(bio, own.get()); }),
          Pem([&](BIO* bio) {
            return PEM_write_bio_PrivateKey(bio, key.get(), nullptr, nullptr, 0,
                                            nullptr, nullptr);
          })};
}

}  // namespace caracal
