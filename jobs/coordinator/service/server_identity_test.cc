#include "jobs/coordinator/service/server_identity.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include "core/base/file_system.h"
#include "core/base/status_matchers.h"
#include "core/base/temporary_folder.h"
#include "jobs/coordinator/access/testing/certificates.h"

namespace caracal {
namespace {

using absl::StatusCode;
using ::testing::HasSubstr;

TEST(ServerIdentityTest, KnowsWhenItExpires) {
  const absl::Time now = absl::FromUnixSeconds(1'800'000'000);
  const absl::Time expires = now + absl::Hours(48);
  const TestCertificate own = MakeTestCertificate(
      "server", nullptr, now - absl::Hours(1), expires, "DNS:localhost");
  TemporaryFolder folder;
  const TlsFiles files = {.certificate = folder.File("cert.pem"),
                          .key = folder.File("key.pem")};
  FileSystem* const disk = FileSystem::Posix();
  ASSERT_OK(disk->WriteFileAtomically(files.certificate, own.certificate));
  ASSERT_OK(disk->WriteFileAtomically(files.key, own.key));
  ASSERT_EQ(chmod(files.key.c_str(), 0600), 0);
  const auto identity = ReadServerIdentity(files, now);
  ASSERT_OK(identity.status());
  EXPECT_EQ(identity->expires, expires);
  EXPECT_THAT(ReadServerIdentity(files, expires + absl::Seconds(1)).status(),
              StatusIs(StatusCode::kInvalidArgument, HasSubstr("has expired")));
}

TEST(CertificateNoticeTest, IsTheSameUntilItHasExpired) {
  const absl::Time expires = absl::FromUnixSeconds(1'800'000'000);
  const auto notice = [&](absl::Duration before) {
    return CertificateNotice(expires, expires - before);
  };
  EXPECT_EQ(notice(kCertificateNoticeTime + absl::Seconds(1)), "");
  EXPECT_EQ(notice(kCertificateNoticeTime),
            "the server's certificate expires at 2027-01-15 08:00 UTC: start "
            "with a new one before it does");
  EXPECT_EQ(notice(absl::Seconds(1)), notice(kCertificateNoticeTime));
  EXPECT_THAT(notice(absl::ZeroDuration()), HasSubstr("expired at 2027-01-15"));
}

}  // namespace
}  // namespace caracal
