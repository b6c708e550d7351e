#include "jobs/coordinator/access/client_ca.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/base/status_matchers.h"
#include "jobs/coordinator/access/testing/certificates.h"

namespace caracal {
namespace {

using absl::StatusCode;
using ::testing::AllOf;
using ::testing::HasSubstr;

class ClientCaTest : public ::testing::Test {
 protected:
  absl::Status Check(const TestCertificate& shown, absl::Time now,
                     const std::string& chain = "") {
    return ca_.Check({"ann", shown.certificate, chain}, now);
  }

  const absl::Time now_ = absl::FromUnixSeconds(1'900'000'000);
  const absl::Time before_ = now_ - absl::Hours(1);
  const absl::Time after_ = now_ + absl::Hours(1);
  const TestCertificate authority_ = MakeTestCertificate(
      "our CA", nullptr, before_ - absl::Hours(9), after_ + absl::Hours(9));
  const ClientCa ca_ = *ClientCa::Of(authority_.certificate);
};

TEST_F(ClientCaTest, TakesWhatTheAuthoritySigned) {
  const auto ann = MakeTestCertificate("ann", &authority_, before_, after_);
  EXPECT_OK(Check(ann, now_));
  EXPECT_THAT(Check(ann, after_ + absl::Minutes(1)),
              StatusIs(StatusCode::kUnauthenticated,
                       "the client's certificate, 'ann', is refused: it "
                       "expired at 2030-03-17 18:46 UTC"));
  EXPECT_THAT(Check(ann, before_ - absl::Minutes(1)),
              StatusIs(StatusCode::kUnauthenticated,
                       HasSubstr("it is not valid before 2030-03-17 16:46")));
}

TEST_F(ClientCaTest, RefusesWhatOthersSigned) {
  const auto other = MakeTestCertificate("other CA", nullptr, before_, after_);
  EXPECT_THAT(
      Check(MakeTestCertificate("ann", &other, before_, after_), now_),
      StatusIs(StatusCode::kUnauthenticated,
               HasSubstr("it is signed by 'other CA', an authority that is "
                         "not trusted")));
  EXPECT_THAT(
      Check(MakeTestCertificate("ann", nullptr, before_, after_), now_),
      StatusIs(StatusCode::kUnauthenticated, HasSubstr("signed by itself")));
  // Who shows the authority, too, makes it no better.
  EXPECT_THAT(Check(MakeTestCertificate("ann", &other, before_, after_), now_,
                    other.certificate),
              StatusIs(StatusCode::kUnauthenticated,
                       HasSubstr("it is signed by 'other CA', an authority")));
  // Of the right name alone.
  const auto forged = MakeTestCertificate("our CA", nullptr, before_, after_);
  EXPECT_THAT(
      Check(MakeTestCertificate("ann", &forged, before_, after_), now_).code(),
      StatusCode::kUnauthenticated);
  // A client's own certificate signs nobody's.
  const auto ann = MakeTestCertificate("ann", &authority_, before_, after_);
  EXPECT_THAT(Check(MakeTestCertificate("eve", &ann, before_, after_), now_,
                    ann.certificate)
                  .code(),
              StatusCode::kUnauthenticated);
}

TEST_F(ClientCaTest, RefusesWhatIsNoneOrTooLong) {
  for (const char* pem : {"", "-----BEGIN CERTIFICATE-----\nxxxx\n"}) {
    EXPECT_THAT(ca_.Check({"ann", pem}, now_),
                StatusIs(StatusCode::kUnauthenticated, HasSubstr("read")))
        << pem;
  }
  const auto ann = MakeTestCertificate("ann", &authority_, before_, after_);
  std::string chain;
  for (int i = 0; i < 100; ++i) chain += authority_.certificate;
  EXPECT_THAT(Check(ann, now_, chain),
              StatusIs(StatusCode::kUnauthenticated, HasSubstr("too long")));
  EXPECT_FALSE(ClientCa::Of("nothing").ok());
  EXPECT_FALSE(ClientCa::Of(authority_.certificate +
                            "-----BEGIN CERTIFICATE-----\nxxxx\n")
                   .ok());
}

}  // namespace
}  // namespace caracal
