#include "jobs/coordinator/access/certificate_files.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "core/base/file_system.h"
#include "core/base/status_matchers.h"
#include "core/base/temporary_folder.h"
#include "jobs/coordinator/access/testing/certificates.h"

namespace caracal {
namespace {

using absl::StatusCode;

class CertificateFilesTest : public ::testing::Test {
 protected:
  std::string Write(const std::string& name, const std::string& text) {
    const std::string path = folder_.File(name);
    EXPECT_OK(FileSystem::Posix()->WriteFileAtomically(path, text));
    return path;
  }

  TemporaryFolder folder_;
  const TestCertificate ann_ = MakeTestCertificate("ann");
  const TestCertificate eve_ = MakeTestCertificate("eve");
  const std::string pem_ = Write("ann.pem", ann_.certificate);
};

TEST_F(CertificateFilesTest, ReadsACertificateWithItsKey) {
  ASSERT_OK_AND_ASSIGN(const CertificateAndKey read,
                       ReadCertificateAndKey(pem_, Write("ann.key", ann_.key)));
  EXPECT_EQ(read.certificate, ann_.certificate);
  EXPECT_EQ(read.key, ann_.key);
  EXPECT_OK(ReadCertificateFile(pem_).status());
}

TEST_F(CertificateFilesTest, NamesTheFileThatIsNotWhatItIsGivenFor) {
  const std::string words = Write("words", "no certificate\n");
  EXPECT_THAT(ReadCertificateFile(words).status(),
              StatusIs(StatusCode::kInvalidArgument,
                       words + ": has no certificate in PEM format"));
  EXPECT_THAT(ReadCertificateAndKey(words, pem_).status(),
              StatusIs(StatusCode::kInvalidArgument,
                       words + ": has no certificate in PEM format"));
  EXPECT_THAT(ReadCertificateAndKey(pem_, words).status(),
              StatusIs(StatusCode::kInvalidArgument,
                       words + ": has no private key in PEM format, without "
                               "a passphrase"));
  const std::string other = Write("eve.key", eve_.key);
  EXPECT_THAT(ReadCertificateAndKey(pem_, other).status(),
              StatusIs(StatusCode::kInvalidArgument,
                       other + ": is not the key of " + pem_));
  EXPECT_THAT(ReadCertificateFile(folder_.File("none")).status(),
              StatusIs(StatusCode::kNotFound, ::testing::HasSubstr("none")));
}

}  // namespace
}  // namespace caracal
