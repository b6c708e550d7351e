#include "jobs/coordinator/access/certificate.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <ctime>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "core/base/status.h"

namespace caracal {
namespace {

using Names =
    std::unique_ptr<GENERAL_NAMES,
                    OpenSslDeleter<GENERAL_NAMES, GENERAL_NAMES_free>>;
using Bio = std::unique_ptr<BIO, OpenSslDeleter<BIO, BIO_free_all>>;

Bio BioOf(absl::string_view text) {
  return Bio(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
}

// Asks nobody.
int NoPassphrase(char*, int, int, void*) { return -1; }

std::string CommonName(const X509_NAME* name) {
  const int at = X509_NAME_get_index_by_NID(name, NID_commonName, -1);
  if (at < 0) return "";
  unsigned char* text = nullptr;
  const int size = ASN1_STRING_to_UTF8(
      &text, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(name, at)));
  if (size < 0) return "";
  std::string out(reinterpret_cast<const char*>(text), size);
  OPENSSL_free(text);
  return out;
}

std::string TimeText(const ASN1_TIME* time) {
  std::tm parts;
  if (ASN1_TIME_to_tm(time, &parts) != 1) return "a time that is none";
  return absl::FormatTime("%Y-%m-%d %H:%M UTC",
                          absl::FromTM(parts, absl::UTCTimeZone()),
                          absl::UTCTimeZone());
}

}  // namespace

absl::StatusOr<std::vector<Certificate>> ParseCertificates(
    absl::string_view pem) {
  const Bio bio = BioOf(pem);
  std::vector<Certificate> out;
  while (true) {
    Certificate next(
        PEM_read_bio_X509(bio.get(), nullptr, NoPassphrase, nullptr));
    if (next == nullptr) break;
    out.push_back(std::move(next));
  }
  // That there are no more is an error, too.
  const bool ends =
      ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;
  ERR_clear_error();
  if (out.empty()) {
    return absl::InvalidArgumentError("has no certificate in PEM format");
  }
  if (!ends) {
    return absl::InvalidArgumentError(
        absl::StrCat("its certificate ", out.size() + 1, " is damaged"));
  }
  return out;
}

PrivateKey ParsePrivateKey(absl::string_view pem) {
  PrivateKey key(PEM_read_bio_PrivateKey(BioOf(pem).get(), nullptr,
                                         NoPassphrase, nullptr));
  ERR_clear_error();
  return key;
}

absl::StatusOr<CertificateStore> TrustIn(absl::string_view pem) {
  ASSIGN_OR_RETURN(const std::vector<Certificate> trusted,
                   ParseCertificates(pem));
  CertificateStore store(X509_STORE_new());
  for (const Certificate& one : trusted) {
    X509_STORE_add_cert(store.get(), one.get());
  }
  // Authorities that others signed are trusted as well when they are named.
  X509_STORE_set_flags(store.get(), X509_V_FLAG_PARTIAL_CHAIN);
  return store;
}

std::string SubjectOf(const X509* certificate) {
  return CommonName(X509_get_subject_name(certificate));
}

std::string IssuerOf(const X509* certificate) {
  return CommonName(X509_get_issuer_name(certificate));
}

std::string ServerNameIn(const X509* certificate) {
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
  return address.empty() ? SubjectOf(certificate) : address;
}

std::string WhyRefused(int error, int depth, const X509* certificate) {
  const std::string it = depth == 0 || certificate == nullptr
                             ? "it"
                             : absl::StrCat("that of its authority '",
                                            SubjectOf(certificate), "'");
  switch (error) {
    case X509_V_ERR_CERT_HAS_EXPIRED:
      return absl::StrCat(it, " expired at ",
                          TimeText(X509_get0_notAfter(certificate)));
    case X509_V_ERR_CERT_NOT_YET_VALID:
      return absl::StrCat(it, " is not valid before ",
                          TimeText(X509_get0_notBefore(certificate)));
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
      return "it is signed by itself, and not trusted";
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
      // The authority itself was shown.
      return absl::StrCat(depth == 1 ? "it is signed by '" : "it leads to '",
                          certificate == nullptr ? "" : SubjectOf(certificate),
                          "', an authority that is not trusted");
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
      return absl::StrCat(it, " is signed by '",
                          certificate == nullptr ? "" : IssuerOf(certificate),
                          "', an authority that is not trusted");
    default:
      return absl::StrCat(
          it, " is refused: ", X509_verify_cert_error_string(error));
  }
}

}  // namespace caracal
