#include "jobs/client/service/token_source.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <map>

#include "core/base/file_system.h"
#include "core/base/status_matchers.h"
#include "core/base/temporary_folder.h"

namespace caracal {
namespace {

using absl::StatusCode;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

class TokenSourceTest : public ::testing::Test {
 protected:
  std::string Write(const std::string& name, const std::string& text,
                    mode_t mode = 0600) {
    const std::string path = folder_.File(name);
    EXPECT_OK(FileSystem::Posix()->CreateFolder(FolderOf(path)));
    EXPECT_OK(FileSystem::Posix()->WriteFileAtomically(path, text));
    EXPECT_EQ(chmod(path.c_str(), mode), 0);
    return path;
  }
  absl::StatusOr<std::string> Find(const std::string& token_file = "") {
    return FindToken(token_file, [this](const char* name) -> const char* {
      const auto found = environment_.find(name);
      return found == environment_.end() ? nullptr : found->second.c_str();
    });
  }

  TemporaryFolder folder_;
  std::map<std::string, std::string> environment_;
};

TEST_F(TokenSourceTest, TheFirstThereIsCounts) {
  EXPECT_EQ(*Find(), "");
  environment_["HOME"] = folder_.path();
  EXPECT_EQ(*Find(), "");
  Write(".config/caracal/token", "of-home\n");
  EXPECT_EQ(*Find(), "of-home");
  environment_["XDG_CONFIG_HOME"] = folder_.File("xdg");
  EXPECT_EQ(*Find(), "");
  Write("xdg/caracal/token", "of-xdg");
  EXPECT_EQ(*Find(), "of-xdg");
  environment_["CARACAL_TOKEN"] = "of-variable";
  EXPECT_EQ(*Find(), "of-variable");
  EXPECT_EQ(*Find(Write("t", " of-option \n")), "of-option");
  EXPECT_THAT(Find(folder_.File("none")),
              StatusIs(StatusCode::kNotFound, HasSubstr("none")));
}

TEST_F(TokenSourceTest, ATokenThatOthersCanReadIsNotUsed) {
  for (const mode_t mode : {0640, 0604, 0620}) {
    EXPECT_THAT(
        Find(Write("t", "secret", mode)),
        StatusIs(StatusCode::kFailedPrecondition,
                 AllOf(HasSubstr("chmod 600"), Not(HasSubstr("secret")))));
  }
}

TEST_F(TokenSourceTest, WhatIsNoTokenIsNotSent) {
  for (const std::string& text :
       {std::string(""), std::string("\n"), std::string("two words"),
        std::string("a\nb"), std::string("a\r\nx-header: b"),
        std::string("a\0b", 3), std::string(2000, 'a'), std::string("\xff")}) {
    const auto token = Find(Write("t", text));
    EXPECT_THAT(token,
                StatusIs(StatusCode::kInvalidArgument, HasSubstr("no token")));
  }
}

}  // namespace
}  // namespace caracal
