#include "jobs/launch/gang_processes.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <string>
#include <vector>

#include "core/base/status_matchers.h"

namespace caracal {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

// A process that waits, with that in its environment.
pid_t StartWith(std::string variable) {
  char program[] = "/bin/sleep", argument[] = "600";
  char* const argv[] = {program, argument, nullptr};
  char* const environment[] = {variable.data(), nullptr};
  pid_t pid = 0;
  EXPECT_EQ(posix_spawn(&pid, program, nullptr, nullptr, argv, environment), 0);
  return pid;
}

TEST(GangProcesses, AreKilledAndNoOthers) {
  const std::string folder = testing::TempDir() + "/gang_processes";
  const pid_t ours = StartWith(std::string(kGangVariable) + "=" + folder);
  const pid_t other =
      StartWith(std::string(kGangVariable) + "=" + folder + "2");
  EXPECT_THAT(GangProcesses(folder), ElementsAre(ours));
  EXPECT_EQ(KillGangProcesses(folder), 1);
  int status = 0;
  ASSERT_EQ(waitpid(ours, &status, 0), ours);
  EXPECT_EQ(WTERMSIG(status), SIGKILL);
  EXPECT_THAT(GangProcesses(folder), IsEmpty());
  EXPECT_EQ(KillGangProcesses(folder), 0);
  EXPECT_EQ(waitpid(other, &status, WNOHANG), 0);
  kill(other, SIGKILL);
  waitpid(other, &status, 0);
}

TEST(GangProcesses, ZombiesAreNotCounted) {
  const std::string folder = testing::TempDir() + "/gang_zombies";
  const pid_t pid = StartWith(std::string(kGangVariable) + "=" + folder);
  kill(pid, SIGKILL);
  siginfo_t info;
  ASSERT_EQ(waitid(P_PID, pid, &info, WEXITED | WNOWAIT), 0);
  EXPECT_THAT(GangProcesses(folder), IsEmpty());
  waitpid(pid, nullptr, 0);
}

TEST(StartTimeOf, IsThatOfTheProcess) {
  ASSERT_OK_AND_ASSIGN(const uint64_t ours, StartTimeOf(getpid()));
  ASSERT_OK_AND_ASSIGN(const uint64_t parents, StartTimeOf(getppid()));
  EXPECT_GE(ours, parents);
  EXPECT_GT(parents, 0);
  EXPECT_THAT(StartTimeOf(0), StatusIs(absl::StatusCode::kNotFound,
                                       testing::HasSubstr("process 0")));
}

}  // namespace
}  // namespace caracal
