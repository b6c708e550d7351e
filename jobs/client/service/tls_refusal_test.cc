#include "jobs/client/service/tls_refusal.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <openssl/ssl.h>

#include <csignal>
#include <functional>
#include <string>
#include <thread>

#include "absl/strings/str_cat.h"
#include "core/base/status_matchers.h"
#include "jobs/coordinator/access/certificate.h"
#include "jobs/coordinator/access/testing/certificates.h"
#include "kernels/common/check.h"

namespace caracal {
namespace {

using absl::StatusCode;
using ::testing::HasSubstr;

// Serves one connection, in a thread.
class OneConnection {
 public:
  explicit OneConnection(std::function<void(BIO*)> serve)
      : accept_(BIO_new_accept("127.0.0.1:0")) {
    // The first accepts no connection yet: it listens.
    CARACAL_CHECK(BIO_do_accept(accept_) == 1);
    address_ = absl::StrCat("localhost:", BIO_get_accept_port(accept_));
    thread_ = std::thread([this, serve = std::move(serve)] {
      CARACAL_CHECK(BIO_do_accept(accept_) == 1);
      serve(BIO_pop(accept_));
    });
  }
  ~OneConnection() {
    thread_.join();
    BIO_free_all(accept_);
  }

  const std::string& address() const { return address_; }

 private:
  BIO* const accept_;
  std::string address_;
  std::thread thread_;
};

class TlsRefusalTest : public ::testing::Test {
 protected:
  TlsRefusalTest() { std::signal(SIGPIPE, SIG_IGN); }

  // A server with this certificate, that wants a client's of `client_ca`; "":
  // none.
  static void Serve(const TestCertificate& own, const std::string& client_ca,
                    BIO* connection) {
    SSL_CTX* const context = SSL_CTX_new(TLS_server_method());
    SSL_CTX_use_certificate(context,
                            ParseCertificates(own.certificate)->front().get());
    SSL_CTX_use_PrivateKey(context, ParsePrivateKey(own.key).get());
    if (!client_ca.empty()) {
      SSL_CTX_set_cert_store(context, TrustIn(client_ca)->release());
      SSL_CTX_set_verify(
          context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
    }
    SSL* const ssl = SSL_new(context);
    SSL_set_bio(ssl, connection, connection);
    if (SSL_accept(ssl) == 1) SSL_write(ssl, "x", 1);
    SSL_free(ssl);
    SSL_CTX_free(context);
  }

  // Of a client that trusts authority_.
  absl::Status Ask(const TestCertificate& server,
                   const ClientIdentity& identity = {},
                   const std::string& client_ca = "",
                   const std::string& server_name = "") {
    const OneConnection one(
        [&](BIO* connection) { Serve(server, client_ca, connection); });
    address_ = one.address();
    return FindTlsRefusal({.address = address_,
                           .ca = authority_.certificate,
                           .server_name = server_name},
                          identity);
  }

  TestCertificate Server(const TestCertificate& signer,
                         absl::Duration lasts = absl::Hours(1)) {
    const absl::Time now = absl::Now();
    return MakeTestCertificate("server", &signer, now - absl::Hours(2),
                               now + lasts, "DNS:localhost");
  }

  const TestCertificate authority_ = MakeTestCertificate("our CA");
  const TestCertificate other_ = MakeTestCertificate("other CA");
  std::string address_;
};

TEST_F(TlsRefusalTest, FindsNothingWhereNothingIsWrong) {
  EXPECT_OK(Ask(Server(authority_)));
  const TestCertificate ann = MakeTestCertificate("ann", &authority_);
  EXPECT_OK(Ask(Server(authority_), {ann.certificate, ann.key},
                authority_.certificate));
  // Nobody is there any more.
  EXPECT_OK(
      FindTlsRefusal({.address = address_, .ca = authority_.certificate}, {}));
}

TEST_F(TlsRefusalTest, SaysWhyTheServersCertificateIsRefused) {
  const auto refusal = [&](const absl::Status& status) {
    EXPECT_EQ(status.code(), StatusCode::kUnauthenticated);
    const std::string start =
        address_ + ": the server's certificate is refused: ";
    EXPECT_THAT(std::string(status.message()), ::testing::StartsWith(start));
    return std::string(status.message().substr(start.size()));
  };
  EXPECT_THAT(refusal(Ask(Server(authority_, -absl::Hours(1)))),
              ::testing::StartsWith("it expired at 20"));
  EXPECT_EQ(refusal(Ask(Server(other_))),
            "it is signed by 'other CA', an authority that is not trusted");
  EXPECT_EQ(refusal(Ask(Server(authority_), {}, "", "elsewhere")),
            "it is for 'localhost', not for 'elsewhere'");
}

TEST_F(TlsRefusalTest, SaysWhatTheServerSaysOfTheClients) {
  EXPECT_THAT(Ask(Server(authority_), {}, authority_.certificate),
              StatusIs(StatusCode::kUnauthenticated,
                       HasSubstr("the server needs a certificate of yours")));
  const absl::Time now = absl::Now();
  const TestCertificate old = MakeTestCertificate(
      "ann", &authority_, now - absl::Hours(2), now - absl::Hours(1));
  const absl::Status expired = Ask(
      Server(authority_), {old.certificate, old.key}, authority_.certificate);
  EXPECT_EQ(expired.code(), StatusCode::kUnauthenticated);
  EXPECT_EQ(expired.message(),
            address_ + ": the server refuses your certificate: it expired");
  const TestCertificate ann = MakeTestCertificate("ann", &other_);
  EXPECT_THAT(Ask(Server(authority_), {ann.certificate, ann.key},
                  authority_.certificate),
              StatusIs(StatusCode::kUnauthenticated,
                       HasSubstr("an authority that the server does not")));
}

TEST_F(TlsRefusalTest, TellsServersThatSpeakTlsFromOthers) {
  for (const std::string& client_ca : {"", authority_.certificate.c_str()}) {
    const OneConnection one([&](BIO* connection) {
      Serve(Server(authority_), client_ca, connection);
    });
    address_ = one.address();
    EXPECT_TRUE(SpeaksTls(address_));
  }
  EXPECT_FALSE(SpeaksTls(address_));  // nobody is there any more
  const OneConnection plain([](BIO* connection) {
    BIO_write(connection, "HTTP/1.1 400 Bad Request\r\n\r\n", 28);
    BIO_free_all(connection);
  });
  EXPECT_FALSE(SpeaksTls(plain.address()));
}

TEST_F(TlsRefusalTest, SaysThatAServerSpeaksNoTls) {
  const OneConnection one([](BIO* connection) {
    BIO_write(connection, "HTTP/1.1 400 Bad Request\r\n\r\n", 28);
    BIO_free_all(connection);
  });
  EXPECT_THAT(FindTlsRefusal(
                  {.address = one.address(), .ca = authority_.certificate}, {}),
              StatusIs(StatusCode::kUnauthenticated,
                       HasSubstr("the server speaks no TLS")));
}

}  // namespace
}  // namespace caracal
