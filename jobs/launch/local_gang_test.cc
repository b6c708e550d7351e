#include "jobs/launch/local_gang.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>
#include <cstdlib>

#include "absl/strings/str_cat.h"
#include "core/base/status_matchers.h"

namespace caracal {
namespace {

using absl::StatusCode;
using testing::HasSubstr;

// As waitpid() has it.
int Exited(int status) { return status << 8; }
int Signalled(int signal) { return signal; }

TEST(GangStatus, TellsHowTheRanksEnded) {
  EXPECT_OK(GangStatus(Exited(kWorkerDone)));
  EXPECT_THAT(GangStatus(Exited(kWorkerStopped)),
              StatusIs(StatusCode::kCancelled, HasSubstr("saved first")));
  EXPECT_THAT(GangStatus(Exited(kWorkerTransient)),
              StatusIs(StatusCode::kUnavailable, HasSubstr("may pass")));
  EXPECT_THAT(GangStatus(Exited(kWorkerFailed)),
              StatusIs(StatusCode::kInternal, HasSubstr("with an error")));
}

TEST(GangStatus, KilledRanksMayGoOnAndCrashedOnesWouldCrashAgain) {
  EXPECT_THAT(GangStatus(Exited(128 + SIGKILL)),
              StatusIs(StatusCode::kUnavailable, HasSubstr("signal 9")));
  EXPECT_THAT(GangStatus(Exited(128 + SIGSEGV)),
              StatusIs(StatusCode::kInternal, HasSubstr("signal 11")));
  EXPECT_THAT(GangStatus(Exited(128 + SIGABRT)),
              StatusIs(StatusCode::kInternal, HasSubstr("crashed")));
}

// It has been seen to crash in its own last lines, after ranks were killed.
TEST(GangStatus, ACrashOfMpirunIsNoneOfARank) {
  for (const int signal : {SIGSEGV, SIGKILL}) {
    EXPECT_THAT(
        GangStatus(Signalled(signal)),
        StatusIs(StatusCode::kUnavailable, HasSubstr("mpirun was ended by")));
  }
}

TEST(GangStatus, ToldToStopBeforeItListensItHasStopped) {
  for (const int status : {Exited(128 + SIGUSR1), Signalled(SIGUSR1)}) {
    EXPECT_THAT(GangStatus(status),
                StatusIs(StatusCode::kCancelled, HasSubstr("first step")));
  }
}

TEST(CheckLocalGangs, NamesWhatIsMissing) {
  const auto why = [](const std::string& path) {
    return std::string(CheckLocalGangs(path).message());
  };
  EXPECT_THAT(why("/none:/nowhere"),
              HasSubstr("no mpirun in PATH (/none:/nowhere); ranks of their "
                        "own need Open MPI"));
  EXPECT_THAT(why(""), HasSubstr("no mpirun"));
  // Whether the worker is there depends on what was built.
  EXPECT_THAT(why(absl::StrCat("/none:", std::getenv("PATH"))),
              testing::Not(HasSubstr("no mpirun")));
}

TEST(LocalGangArguments, AreForMpirunAndThenForTheWorker) {
  const GangCommand command = {.ranks = 2, .arguments = {"--job", "j"}};
  const std::vector<std::string> bound =
      LocalGangArguments(command, "/w", "", true, false);
  EXPECT_THAT(bound, testing::Contains("core"));
  EXPECT_THAT(bound, testing::Not(testing::Contains("--allow-run-as-root")));
  EXPECT_EQ(bound[bound.size() - 3], "/w");
  EXPECT_EQ(bound.back(), "j");
  EXPECT_THAT(LocalGangArguments(command, "/w", "/s", false, true),
              testing::Not(testing::Contains("core")));
}

}  // namespace
}  // namespace caracal
