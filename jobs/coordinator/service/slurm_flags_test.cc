#include "jobs/coordinator/service/slurm_flags.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "core/base/status_matchers.h"

namespace caracal {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Optional;

class SlurmFlagsTest : public ::testing::Test {
 protected:
  SlurmFlagsTest() {
    app_.add_option("--other", other_);
    DeclareSlurmFlags(app_, &options_, &rules_);
  }
  // Throws what CLI11 does.
  void Parse(std::vector<std::string> arguments) {
    std::reverse(arguments.begin(), arguments.end());  // as it wants them
    app_.parse(arguments);
  }

  CLI::App app_;
  std::string other_;
  SlurmOptions options_;
  SlurmRules rules_;
};

TEST_F(SlurmFlagsTest, NamesAreTrimmed) {
  Parse({"--slurm-allow-partitions", " fast , all", "--slurm-allow-qos", ""});
  EXPECT_THAT(rules_.partitions, Optional(ElementsAre("fast", "all")));
  EXPECT_THAT(rules_.qos, Optional(IsEmpty()));
  EXPECT_FALSE(rules_.accounts.has_value());
}

TEST_F(SlurmFlagsTest, EmptyNamesAreRefused) {
  for (const char* names : {" ", "a,", ",a", "a, ,b"}) {
    try {
      Parse({"--slurm-allow-accounts", names});
      FAIL() << names;
    } catch (const CLI::ValidationError& error) {
      EXPECT_THAT(error.what(), HasSubstr("--slurm-allow-accounts: "));
      EXPECT_THAT(error.what(), HasSubstr("has an empty name"));
    }
  }
}

TEST_F(SlurmFlagsTest, WithAnotherLauncherNoneMayBeGiven) {
  Parse({"--other", "x"});
  EXPECT_OK(CheckNoSlurmFlags(app_));
  for (const char* flag :
       {"--slurm-partition=a", "--slurm-time=60", "--slurm-poll=1",
        "--slurm-option=--nice", "--slurm-allow-accounts=a"}) {
    const std::string text = flag;
    Parse({"--other", "x", text});
    EXPECT_THAT(CheckNoSlurmFlags(app_),
                StatusIs(absl::StatusCode::kInvalidArgument,
                         HasSubstr(text.substr(0, text.find('=')) + " has")));
  }
}

}  // namespace
}  // namespace caracal
