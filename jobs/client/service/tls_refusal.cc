#include "jobs/client/service/tls_refusal.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <sys/socket.h>

#include <ctime>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "jobs/coordinator/access/certificate.h"

namespace caracal {
namespace {

using SslContext =
    std::unique_ptr<SSL_CTX, OpenSslDeleter<SSL_CTX, SSL_CTX_free>>;
using Ssl = std::unique_ptr<SSL, OpenSslDeleter<SSL, SSL_free>>;
using Bio = std::unique_ptr<BIO, OpenSslDeleter<BIO, BIO_free_all>>;

// "localhost" of "localhost:7272", "::1" of "[::1]:7272".
std::string HostOf(const std::string& address) {
  std::string host = address.substr(0, address.rfind(':'));
  if (host.size() >= 2 && host.front() == '[' && host.back() == ']') {
    host = host.substr(1, host.size() - 2);
  }
  return host;
}

// Null: nobody is there.
Bio Connect(const std::string& address, absl::Duration patience) {
  Bio bio(BIO_new_connect(address.c_str()));
  if (bio == nullptr) return nullptr;
  BIO_set_nbio(bio.get(), 1);
  const time_t until = absl::ToTimeT(absl::Now() + patience);
  while (BIO_do_connect(bio.get()) != 1) {
    if (!BIO_should_retry(bio.get()) ||
        BIO_wait(bio.get(), until, /*nap_milliseconds=*/10) != 1) {
      return nullptr;
    }
  }
  int fd = -1;
  BIO_get_fd(bio.get(), &fd);
  BIO_socket_nbio(fd, 0);
  const timeval limit = absl::ToTimeval(patience);
  for (const int direction : {SO_RCVTIMEO, SO_SNDTIMEO}) {
    setsockopt(fd, SOL_SOCKET, direction, &limit, sizeof(limit));
  }
  return bio;
}

// Looks at the server's certificate; `why`, a std::string, is filled where it
// is refused, of which nothing is left after the handshake.
int Verify(X509_STORE_CTX* certificates, void* why) {
  const int good = X509_verify_cert(certificates);
  if (good != 1) {
    *static_cast<std::string*>(why) =
        WhyRefused(X509_STORE_CTX_get_error(certificates),
                   X509_STORE_CTX_get_error_depth(certificates),
                   X509_STORE_CTX_get_current_cert(certificates));
  }
  return good;
}

// False for what is not in PEM format: gRPC refuses it by itself.
bool Prepare(SSL_CTX* context, const Endpoint& endpoint,
             const ClientIdentity& identity, std::string* why) {
  absl::StatusOr<CertificateStore> trusted = TrustIn(endpoint.ca);
  if (!trusted.ok()) return false;
  SSL_CTX_set_cert_store(context, trusted->release());
  SSL_CTX_set_verify(context, SSL_VERIFY_PEER, nullptr);
  SSL_CTX_set_cert_verify_callback(context, Verify, why);
  constexpr unsigned char kHttp2[] = {2, 'h', '2'};
  SSL_CTX_set_alpn_protos(context, kHttp2, sizeof(kHttp2));
  if (identity.certificate.empty()) return true;
  absl::StatusOr<std::vector<Certificate>> own =
      ParseCertificates(identity.certificate);
  const PrivateKey key = ParsePrivateKey(identity.key);
  if (!own.ok() || key == nullptr) return false;
  if (SSL_CTX_use_certificate(context, own->front().get()) != 1 ||
      SSL_CTX_use_PrivateKey(context, key.get()) != 1) {
    return false;
  }
  for (size_t i = 1; i < own->size(); ++i) {
    if (SSL_CTX_add1_chain_cert(context, (*own)[i].get()) != 1) return false;
  }
  return true;
}

// Of the error that ended a handshake, or what followed it. "": none of TLS.
std::string WhatServerSays(int reason, bool has_certificate) {
  const auto refuses = [&](absl::string_view why) {
    return absl::StrCat("the server refuses your certificate: ", why);
  };
  switch (reason) {
    case SSL_R_SSLV3_ALERT_CERTIFICATE_EXPIRED:
      return refuses("it expired");
    case SSL_R_SSLV3_ALERT_CERTIFICATE_REVOKED:
      return refuses("it was revoked");
    case SSL_R_TLSV1_ALERT_UNKNOWN_CA:
      return refuses(
          "it is signed by an authority that the server does not "
          "trust");
    case SSL_R_SSLV3_ALERT_BAD_CERTIFICATE:
    case SSL_R_SSLV3_ALERT_UNSUPPORTED_CERTIFICATE:
    case SSL_R_SSLV3_ALERT_CERTIFICATE_UNKNOWN:
    case SSL_R_TLSV1_ALERT_ACCESS_DENIED:
      return has_certificate ? refuses("it does not say why") : "";
    case SSL_R_TLSV13_ALERT_CERTIFICATE_REQUIRED:
      return "the server needs a certificate of yours: --certificate and "
             "--certificate-key";
    case SSL_R_SSLV3_ALERT_HANDSHAKE_FAILURE:
      return has_certificate ? ""
                             : "the server refuses a client without a "
                               "certificate: --certificate and "
                               "--certificate-key show one";
    case SSL_R_WRONG_VERSION_NUMBER:
      return "the server speaks no TLS, which is expected of it (--ca, or its "
             "endpoint.json)";
    default:
      return "";
  }
}

// Why the name is not one of the certificate's; "": it is.
std::string WrongName(X509* certificate, const std::string& name) {
  if (X509_check_host(certificate, name.c_str(), name.size(), 0, nullptr) ==
          1 ||
      X509_check_ip_asc(certificate, name.c_str(), 0) == 1) {
    return "";
  }
  return absl::StrCat("it is for '", ServerNameIn(certificate), "', not for '",
                      name, "'");
}

}  // namespace

bool SpeaksTls(const std::string& address, absl::Duration patience) {
  const SslContext context(SSL_CTX_new(TLS_client_method()));
  if (context == nullptr) return false;
  Bio connection = Connect(address, patience);
  if (connection == nullptr) return false;
  // Nothing is said to it: whoever it is may have any certificate.
  SSL_CTX_set_verify(context.get(), SSL_VERIFY_NONE, nullptr);
  const Ssl ssl(SSL_new(context.get()));
  BIO* const bio = connection.release();
  SSL_set_bio(ssl.get(), bio, bio);
  ERR_clear_error();
  const bool agreed = SSL_connect(ssl.get()) == 1;
  // An alert is TLS as well: the server wants something of its clients.
  const bool alert = ERR_GET_REASON(ERR_peek_error()) >= SSL_AD_REASON_OFFSET;
  ERR_clear_error();
  return agreed || alert;
}

absl::Status FindTlsRefusal(const Endpoint& endpoint,
                            const ClientIdentity& identity,
                            absl::Duration patience) {
  const SslContext context(SSL_CTX_new(TLS_client_method()));
  std::string refused;  // the server's certificate
  if (endpoint.ca.empty() || context == nullptr ||
      !Prepare(context.get(), endpoint, identity, &refused)) {
    return absl::OkStatus();
  }
  Bio connection = Connect(endpoint.address, patience);
  if (connection == nullptr) return absl::OkStatus();
  const std::string name = endpoint.server_name.empty()
                               ? HostOf(endpoint.address)
                               : endpoint.server_name;
  const Ssl ssl(SSL_new(context.get()));
  SSL_set_tlsext_host_name(ssl.get(), name.c_str());
  BIO* const bio = connection.release();
  SSL_set_bio(ssl.get(), bio, bio);

  ERR_clear_error();
  bool done = SSL_connect(ssl.get()) == 1;
  if (done) {
    const Certificate shown(SSL_get1_peer_certificate(ssl.get()));
    refused = WrongName(shown.get(), name);
    // By TLS 1.3 what the server says of a certificate comes after the
    // handshake; else HTTP/2 greets.
    char greeting;
    if (refused.empty()) done = SSL_read(ssl.get(), &greeting, 1) == 1;
  }
  std::string why;
  if (!refused.empty()) {
    why = absl::StrCat("the server's certificate is refused: ", refused);
  } else if (!done) {
    why = WhatServerSays(ERR_GET_REASON(ERR_peek_error()),
                         !identity.certificate.empty());
  }
  ERR_clear_error();
  if (why.empty()) return absl::OkStatus();
  return absl::UnauthenticatedError(absl::StrCat(endpoint.address, ": ", why));
}

}  // namespace caracal
