// The commands on the checkpoints of a run.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <vector>

#include "core/base/file_system.h"
#include "core/base/status_matchers.h"
#include "core/base/temporary_folder.h"
#include "dist/checkpoint/catalogue.h"
#include "dist/checkpoint/writer.h"
#include "jobs/client/commands.h"
#include "jobs/client/shell.h"

namespace caracal {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

class CheckpointCommandTest : public ::testing::Test {
 protected:
  void SetUp() override {
    for (const uint64_t step : {5, 10, 1500}) {
      CheckpointContents contents;
      contents.step = step;
      contents.tensors = {{"w", DType::kF32, {4}, values_, {}}};
      ASSERT_OK(
          WriteCheckpoint(files_, CheckpointFolder(run_, step), contents));
    }
    ASSERT_OK(MarkBestCheckpoint(files_, run_, {5, 0.25}));
  }
  void Damage(uint64_t step) {
    const std::string path =
        JoinPath(CheckpointFolder(run_, step), "rank-00000.h5");
    ASSERT_OK_AND_ASSIGN(std::string text, files_->ReadFile(path));
    text[text.size() / 2] ^= 1;
    ASSERT_OK(files_->WriteFileAtomically(path, text));
  }
  int Run(const std::vector<std::string>& arguments) {
    out_.str("");
    err_.str("");
    return RunShell(AllCommands(), arguments, console_);
  }

  FileSystem* const files_ = FileSystem::Posix();
  TemporaryFolder folder_;
  std::string run_ = folder_.File("run");
  const float values_[4] = {1, 2, 3, 4};
  std::ostringstream out_, err_;
  Console console_{out_, err_};
};

TEST_F(CheckpointCommandTest, ListsThem) {
  ASSERT_EQ(Run({"checkpoint", "list", run_}), kExitOk) << err_.str();
  EXPECT_THAT(out_.str(),
              AllOf(HasSubstr("1,500"), HasSubstr("1 data x 1 tensor x 1"),
                    HasSubstr("best")));
  ASSERT_EQ(Run({"checkpoint", "list", run_, "--json"}), kExitOk);
  const auto json = nlohmann::json::parse(out_.str());
  ASSERT_EQ(json["checkpoints"].size(), 3);
  EXPECT_EQ(json["checkpoints"][0]["step"], 5);
  EXPECT_EQ(json["checkpoints"][0]["best"], true);
  EXPECT_EQ(json["checkpoints"][2]["best"], false);
}

TEST_F(CheckpointCommandTest, VerifiesEveryOne) {
  ASSERT_EQ(Run({"checkpoint", "verify", run_}), kExitOk) << err_.str();
  EXPECT_THAT(out_.str(), HasSubstr("checkpoint-00001500: whole, 1 file"));
  Damage(10);
  EXPECT_EQ(Run({"checkpoint", "verify", run_}), kExitFailure);
  // The others are told all the same.
  EXPECT_THAT(out_.str(),
              AllOf(HasSubstr("00000005: whole"), HasSubstr("00001500: whole"),
                    HasSubstr("00000010/rank-00000.h5")));
  EXPECT_THAT(err_.str(), HasSubstr("1 of 3 checkpoints are damaged"));
  EXPECT_EQ(Run({"checkpoint", "verify", CheckpointFolder(run_, 5)}), kExitOk);
  EXPECT_EQ(Run({"checkpoint", "verify", CheckpointFolder(run_, 10), "--json"}),
            kExitFailure);
  const auto json = nlohmann::json::parse(out_.str());
  EXPECT_EQ(json["checkpoints"][0]["whole"], false);
}

TEST_F(CheckpointCommandTest, PruneKeepsTheNewestAndTheBest) {
  ASSERT_EQ(Run({"checkpoint", "prune", run_, "--keep-last", "1"}), kExitOk)
      << err_.str();
  EXPECT_THAT(out_.str(), HasSubstr("removed 1, kept 2"));
  EXPECT_THAT(*ListCheckpoints(files_, run_), ElementsAre(5, 1500));
  // Nothing is removed without saying how much may stay.
  EXPECT_EQ(Run({"checkpoint", "prune", run_}), kExitUsage);
  EXPECT_EQ(Run({"checkpoint", "prune", run_, "--keep-last", "0"}), kExitUsage);
}

TEST_F(CheckpointCommandTest, PruneKeepsAWholeOneWhenTheNewestIsDamaged) {
  const std::string rank =
      JoinPath(CheckpointFolder(run_, 1500), "rank-00000.h5");
  ASSERT_OK(files_->WriteFileAtomically(rank, "cut"));
  ASSERT_EQ(Run({"checkpoint", "prune", run_, "--keep-last", "1"}), kExitOk)
      << err_.str();
  EXPECT_THAT(err_.str(), HasSubstr("rank-00000.h5"));
  const auto latest = LatestCheckpoint(files_, run_);
  ASSERT_OK(latest.status());
  EXPECT_TRUE(latest->step.has_value());
}

TEST_F(CheckpointCommandTest, ADamagedMarkOfTheBestIsTold) {
  const std::string path = JoinPath(CheckpointsFolder(run_), "best.json");
  ASSERT_OK_AND_ASSIGN(std::string text, files_->ReadFile(path));
  text[text.find("0.25") + 2] ^= 1;
  ASSERT_OK(files_->WriteFileAtomically(path, text));
  EXPECT_EQ(Run({"checkpoint", "verify", run_}), kExitFailure);
  EXPECT_THAT(out_.str(), HasSubstr("00001500: whole"));
  EXPECT_THAT(err_.str(), HasSubstr("best.json: is damaged"));
  EXPECT_EQ(Run({"checkpoint", "list", run_}), kExitOk);
  EXPECT_THAT(out_.str(),
              AllOf(HasSubstr("1,500"), HasSubstr("best.json: is damaged")));
  EXPECT_EQ(Run({"checkpoint", "prune", run_, "--keep-last", "1"}),
            kExitFailure);
  EXPECT_THAT(err_.str(), HasSubstr("best.json: is damaged"));
  EXPECT_THAT(*ListCheckpoints(files_, run_), ElementsAre(5, 10, 1500));
}

TEST_F(CheckpointCommandTest, AFolderThatIsNotThereIsNamed) {
  for (const char* command : {"list", "verify"}) {
    EXPECT_EQ(Run({"checkpoint", command, run_ + "x"}), kExitFailure);
    EXPECT_THAT(err_.str(), HasSubstr("runx: is no run's folder"));
  }
  ASSERT_OK(files_->CreateFolder(folder_.File("empty")));
  EXPECT_EQ(Run({"checkpoint", "list", folder_.File("empty")}), kExitOk);
  EXPECT_THAT(out_.str(), HasSubstr("no checkpoint yet"));
}

}  // namespace
}  // namespace caracal
