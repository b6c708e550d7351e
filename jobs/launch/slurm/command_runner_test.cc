#include "jobs/launch/slurm/command_runner.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include <thread>

#include "absl/time/clock.h"
#include "core/base/status_matchers.h"

namespace caracal {
namespace {

using absl::StatusCode;
using testing::HasSubstr;
using testing::Not;

constexpr absl::Duration kPatience = absl::Seconds(60);

class CommandRunnerTest : public testing::Test {
 protected:
  CommandRunnerTest() : runner_(MakeCommandRunner().value()) {}
  const std::unique_ptr<CommandRunner> runner_;
};

TEST_F(CommandRunnerTest, TellsWhatACommandSaysAndHowItEnds) {
  ASSERT_OK_AND_ASSIGN(
      const CommandResult result,
      runner_->Run({"sh", "-c", "echo out; echo err >&2; exit 3"}, kPatience));
  EXPECT_EQ(result.exit_status, 3);
  EXPECT_EQ(result.output, "out\n");
  EXPECT_EQ(result.words, "err\n");
}

TEST_F(CommandRunnerTest, ArgumentsArriveAsTheyAre) {
  ASSERT_OK_AND_ASSIGN(
      const CommandResult result,
      runner_->Run({"printf", "%s|", "$(id)", "a b", "", "'\n"}, kPatience));
  EXPECT_EQ(result.output, "$(id)|a b||'\n|");
}

TEST_F(CommandRunnerTest, ReadsMoreThanAPipeHolds) {
  ASSERT_OK_AND_ASSIGN(
      const CommandResult result,
      runner_->Run({"head", "-c", "3000000", "/dev/zero"}, kPatience));
  EXPECT_EQ(result.output.size(), 3000000);
}

TEST_F(CommandRunnerTest, AMissingProgramIsNotFound) {
  EXPECT_THAT(runner_->Run({"no-such-program"}, kPatience).status(),
              StatusIs(StatusCode::kNotFound, HasSubstr("no-such-program")));
}

TEST_F(CommandRunnerTest, ASignalIsAnError) {
  EXPECT_THAT(runner_->Run({"sh", "-c", "kill -KILL $$"}, kPatience).status(),
              StatusIs(StatusCode::kAborted, HasSubstr("signal 9")));
}

TEST_F(CommandRunnerTest, WhoTakesTooLongIsKilledWithItsChildren) {
  EXPECT_THAT(
      runner_->Run({"sh", "-c", "sleep 600; true"}, absl::Milliseconds(50))
          .status(),
      StatusIs(StatusCode::kDeadlineExceeded, HasSubstr("50ms")));
}

TEST_F(CommandRunnerTest, CanBeInterrupted) {
  std::thread other([this] { runner_->Interrupt(); });
  EXPECT_THAT(runner_->Run({"sleep", "600"}, kPatience).status(),
              StatusIs(StatusCode::kCancelled, HasSubstr("sleep")));
  other.join();
  EXPECT_THAT(runner_->Run({"true"}, kPatience).status(),
              StatusIs(StatusCode::kCancelled, HasSubstr("true")));
}

TEST_F(CommandRunnerTest, AJobsOwnVariablesAreNotHandedOn) {
  setenv("SLURM_NTASKS", "9", 1);
  setenv("SBATCH_PARTITION", "p", 1);
  setenv("SLURM_CONF", "conf", 1);
  ASSERT_OK_AND_ASSIGN(const CommandResult result,
                       runner_->Run({"env"}, kPatience));
  EXPECT_THAT(result.output, HasSubstr("SLURM_CONF=conf"));
  EXPECT_THAT(result.output, Not(HasSubstr("SLURM_NTASKS")));
  EXPECT_THAT(result.output, Not(HasSubstr("SBATCH_PARTITION")));
}

}  // namespace
}  // namespace caracal
