#include "jobs/coordinator/access/client_ca.h"

#include <openssl/x509_vfy.h>

#include <memory>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/base/status.h"

namespace caracal {
namespace {

using Context =
    std::unique_ptr<X509_STORE_CTX,
                    OpenSslDeleter<X509_STORE_CTX, X509_STORE_CTX_free>>;
void FreeStack(STACK_OF(X509) * certificates) { sk_X509_free(certificates); }
using Stack =
    std::unique_ptr<STACK_OF(X509), OpenSslDeleter<STACK_OF(X509), FreeStack>>;

// Of what a client shows, bytes in PEM format: the work for a call has a bound.
constexpr size_t kLongest = 16 << 10;

// Keys of at least 112 bits of security, as the TLS library asks for.
constexpr int kSecurityLevel = 2;

absl::Status Refuse(const ClientCertificate& shown, absl::string_view why) {
  return absl::UnauthenticatedError(absl::StrCat(
      "the client's certificate, '", shown.name, "', is refused: ", why));
}

}  // namespace

absl::StatusOr<ClientCa> ClientCa::Of(const std::string& pem) {
  ASSIGN_OR_RETURN(CertificateStore trusted, TrustIn(pem));
  return ClientCa(std::move(trusted));
}

absl::Status ClientCa::Check(const ClientCertificate& shown,
                             absl::Time now) const {
  if (shown.pem.size() + shown.chain.size() > kLongest) {
    return Refuse(shown, "it and its authorities are too long");
  }
  const auto parse = [&](const std::string& pem) {
    return pem.empty() ? std::vector<Certificate>() : ParseCertificates(pem);
  };
  const auto own = parse(shown.pem);
  const auto chain = parse(shown.chain);
  if (!own.ok() || own->empty() || !chain.ok()) {
    return Refuse(shown, "it can't be read");
  }
  const Stack others(sk_X509_new_null());
  for (const auto* certificates : {&*own, &*chain}) {
    for (const Certificate& one : *certificates) {
      sk_X509_push(others.get(), one.get());
    }
  }
  const Context context(X509_STORE_CTX_new());
  X509_STORE_CTX_init(context.get(), trusted_.get(), own->front().get(),
                      others.get());
  X509_STORE_CTX_set_default(context.get(), "ssl_client");
  X509_VERIFY_PARAM* const parameters =
      X509_STORE_CTX_get0_param(context.get());
  X509_VERIFY_PARAM_set_time(parameters, absl::ToTimeT(now));
  X509_VERIFY_PARAM_set_auth_level(parameters, kSecurityLevel);
  if (X509_verify_cert(context.get()) == 1) return absl::OkStatus();
  return Refuse(shown,
                WhyRefused(X509_STORE_CTX_get_error(context.get()),
                           X509_STORE_CTX_get_error_depth(context.get()),
                           X509_STORE_CTX_get_current_cert(context.get())));
}

}  // namespace caracal
