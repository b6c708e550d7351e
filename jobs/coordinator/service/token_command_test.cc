#include "jobs/coordinator/service/token_command.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sstream>

#include "core/base/file_system.h"
#include "core/base/status_matchers.h"
#include "core/base/temporary_folder.h"

namespace caracal {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;

class TokenCommandTest : public ::testing::Test {
 protected:
  absl::Status Run(const std::string& arguments) {
    CLI::App app;
    TokenCommand command;
    command.Declare(app);
    app.parse("token " + arguments);
    out_.str("");
    err_.str("");
    return command.Run(data_, out_, err_);
  }

  TemporaryFolder folder_;
  const std::string data_ = folder_.File("data");
  std::ostringstream out_, err_;
};

TEST_F(TokenCommandTest, AFolderThatIsNotThereIsNamed) {
  for (const char* arguments : {"list", "revoke ada"}) {
    EXPECT_THAT(Run(arguments),
                StatusIs(absl::StatusCode::kNotFound, HasSubstr(data_)))
        << arguments;
    EXPECT_FALSE(FileSystem::Posix()->Exists(data_)) << arguments;
  }
  // Nor does one that is something else become a coordinator's.
  ASSERT_OK(FileSystem::Posix()->CreateFolder(data_));
  EXPECT_THAT(Run("list"), StatusIs(absl::StatusCode::kNotFound,
                                    HasSubstr("coordinator.sqlite")));
  ASSERT_OK_AND_ASSIGN(const auto names, FileSystem::Posix()->List(data_));
  EXPECT_THAT(names, IsEmpty());
}

TEST_F(TokenCommandTest, TheFirstTokenMakesTheFolderAndSaysSo) {
  ASSERT_OK(Run("create ada --role admin"));
  EXPECT_THAT(out_.str(), ::testing::Not(IsEmpty()));
  EXPECT_THAT(err_.str(), HasSubstr("/data had no database: one is made"));
  ASSERT_OK(Run("create bob --role viewer"));
  EXPECT_EQ(err_.str(), "");
  ASSERT_OK(Run("list"));
  EXPECT_EQ(out_.str(), "ada admin\nbob viewer\n");
}

TEST_F(TokenCommandTest, ThatThereAreNoneIsTold) {
  EXPECT_FALSE(Run("create bob --role viewer").ok());
  ASSERT_OK(Run("list"));
  EXPECT_EQ(out_.str(), "");
  EXPECT_EQ(err_.str(), "caracald: no tokens\n");
}

}  // namespace
}  // namespace caracal
