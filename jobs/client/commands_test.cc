// The commands through the shell, as a user calls them.
#include "jobs/client/commands.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "core/base/file_system.h"
#include "core/base/status_matchers.h"
#include "core/base/temporary_folder.h"
#include "jobs/client/shell.h"
#include "jobs/client/testing/tiny_model.h"
#include "nlohmann/json.hpp"

namespace caracal {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
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
  EXPECT_THAT(err_.str(),
              StartsWith("caracal: --set budget.bach=2: budget.bach: there is "
                         "no such field; did you mean 'batch'? accepted: "));
  EXPECT_EQ(out_.str(), "");
  EXPECT_EQ(Run({"explain", folder_.File("none")}), kExitFailure);
  EXPECT_THAT(err_.str(), HasSubstr("No such file or directory"));
}

TEST_F(CommandsTest, ExplainWarnsOfWhatIsProbablyNotMeant) {
  EXPECT_EQ(Run({"explain", folder_.File("job"), "--set", "budget.batch=11"}),
            kExitOk)
      << err_.str();
  EXPECT_THAT(out_.str(), HasSubstr("warning: budget.batch: is 11"));
}

TEST_F(CommandsTest, BenchStaysWithinTheModelsContext) {
  for (const char* stage : {"transfer", "finetune"}) {
    EXPECT_EQ(Run({"bench", "--model", folder_.File("model"), "--stage", stage,
                   "--seq-len", "129"}),
              kExitFailure);
    EXPECT_EQ(err_.str(),
              "caracal: --seq-len: 129 positions are more than the model's "
              "context of 128\n");
  }
  EXPECT_EQ(Run({"bench", "--model", folder_.File("model"), "--stage", "decode",
                 "--seq-len", "100", "--new-tokens", "29"}),
            kExitFailure);
  EXPECT_THAT(err_.str(), HasSubstr("129 positions"));
}

TEST_F(CommandsTest, BenchRefusesWhatAStageHasNoUseFor) {
  const auto refused = [&](const char* stage, const char* option,
                           const char* value) {
    EXPECT_EQ(Run({"bench", "--model", folder_.File("model"), "--stage", stage,
                   option, value}),
              kExitFailure);
    EXPECT_THAT(err_.str(), HasSubstr(option));
  };
  refused("decode", "--micro-batch", "2");
  refused("transfer", "--drop", "0.5");
  refused("finetune", "--loss", "xent");
}

TEST_F(CommandsTest, BenchMeasuresEveryStage) {
  for (const char* stage : {"transfer", "finetune", "decode"}) {
    SCOPED_TRACE(stage);
    ASSERT_EQ(Run({"bench", "--model", folder_.File("model"), "--stage", stage,
                   "--seq-len", "16", "--batch", "1", "--new-tokens", "4",
                   "--steps", "2", "--device", "cpu", "--json"}),
              kExitOk)
        << err_.str();
    const auto json = nlohmann::json::parse(out_.str());
    EXPECT_GT(json["tokens_per_s"], 0);
    EXPECT_GE(json["tokens_per_s_range"][1], json["tokens_per_s_range"][0]);
  }
}

// Raises SIGINT once the text has come by: an interrupt at a known moment.
class InterruptingBuffer : public std::stringbuf {
 public:
  explicit InterruptingBuffer(std::string text) : text_(std::move(text)) {}

 protected:
  std::streamsize xsputn(const char* s, std::streamsize n) override {
    const std::streamsize written = std::stringbuf::xsputn(s, n);
    if (!raised_ && str().find(text_) != std::string::npos) {
      raised_ = true;
      std::raise(SIGINT);
    }
    return written;
  }

 private:
  std::string text_;
  bool raised_ = false;
};

TEST_F(CommandsTest, AttributeStopsBetweenBatches) {
  InterruptingBuffer buffer("measured 1 of");
  std::ostream err(&buffer);
  Console console{out_, err};
  const int status =
      RunShell(AllCommands(),
               {"attribute", folder_.File("model"), "--data",
                folder_.File("train.h5"), "--html", folder_.File("page.html")},
               console);
  EXPECT_EQ(status, kExitInterrupted);
  EXPECT_THAT(buffer.str(), HasSubstr("caracal: stopped while measuring; "
                                      "nothing was written"));
  EXPECT_THAT(buffer.str(), Not(HasSubstr("measured 2 of")));
  EXPECT_EQ(out_.str(), "");
  EXPECT_FALSE(FileSystem::Posix()->Exists(folder_.File("page.html")));
}

}  // namespace
}  // namespace caracal
