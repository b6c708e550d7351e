// The commands through the shell, as a user calls them.
#include "jobs/client/commands.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sstream>

#include "core/base/file_system.h"
#include "core/base/status_matchers.h"
#include "core/base/temporary_folder.h"
#include "jobs/client/shell.h"
#include "jobs/client/testing/tiny_model.h"
#include "nlohmann/json.hpp"

namespace caracal {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

class CommandsTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_OK(WriteTinyModel(folder_.File("model")));
    ASSERT_OK(WriteTinyData(folder_.File("train.h5"), 10, 64));
    ASSERT_OK(FileSystem::Posix()->WriteFileAtomically(folder_.File("job"),
                                                       R"(
preset: "lolcats"
model { path: "model" }
data { path: "train.h5" }
budget { transfer_steps: 5 finetune_steps: 2 batch: 4 }
)"));
  }

  int Run(const std::vector<std::string>& arguments) {
    out_.str("");
    err_.str("");
    return RunShell(AllCommands(), arguments, console_);
  }

  TemporaryFolder folder_;
  std::ostringstream out_, err_;
  Console console_{out_, err_};
};

TEST_F(CommandsTest, ExplainPrintsTheExpansion) {
  EXPECT_EQ(Run({"explain", folder_.File("job")}), kExitOk) << err_.str();
  EXPECT_THAT(out_.str(), StartsWith("job: preset lolcats\n"));
  EXPECT_THAT(out_.str(), HasSubstr("Stage 2: finetune, 2 steps"));
  EXPECT_EQ(err_.str(), "");
}

TEST_F(CommandsTest, ExplainTakesOverridesBeforeAndAfter) {
  EXPECT_EQ(Run({"explain", "--json", "--set", "attention.window=32", "--set",
                 "stages[0].transfer.lr=0.5", folder_.File("job")}),
            kExitOk)
      << err_.str();
  const auto json = nlohmann::json::parse(out_.str());
  EXPECT_EQ(json["job"]["attention"]["window"], 32);
  EXPECT_EQ(json["job"]["stages"][0]["transfer"]["lr"], 0.5);
  EXPECT_EQ(json["tokens"], 7 * 4 * 64);
}

TEST_F(CommandsTest, ExplainNamesWhatIsWrong) {
  EXPECT_EQ(Run({"explain", folder_.File("job"), "--set", "budget.bach=2"}),
            kExitFailure);
  EXPECT_EQ(err_.str(),
            "caracal: --set budget.bach=2: budget.bach: there is no such "
            "field; did you mean 'batch'?\n");
  EXPECT_EQ(out_.str(), "");
  EXPECT_EQ(Run({"explain", folder_.File("none")}), kExitFailure);
  EXPECT_THAT(err_.str(), HasSubstr("No such file or directory"));
}

}  // namespace
}  // namespace caracal
