#include "jobs/launch/slurm/batch_script.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/wait.h>

#include <filesystem>
#include <fstream>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "core/base/file_system.h"
#include "core/base/status_matchers.h"
#include "core/base/temporary_folder.h"
#include "jobs/launch/slurm/slurm_gang_folder.h"

namespace caracal {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr absl::Duration kPatience = absl::Seconds(60);

bool Eventually(const std::function<bool()>& holds) {
  const absl::Time until = absl::Now() + kPatience;
  while (!holds()) {
    if (absl::Now() > until) return false;
    absl::SleepFor(absl::Milliseconds(5));
  }
  return true;
}

// The script as Slurm would start it, with a bash script for srun.
class BatchScriptTest : public testing::Test {
 protected:
  BatchScriptTest() {
    std::filesystem::create_directory(temporary_.File("bin"));
    const char* const path = getenv("PATH");
    path_ = temporary_.File("bin") + ":" + (path != nullptr ? path : "/bin");
    CARACAL_CHECK_OK(folder_.Create({.id = {7, 3}}));
  }

  // `what` is what srun does, in bash.
  void Prepare(const std::string& what,
               const std::vector<std::string>& arguments = {},
               const std::vector<std::string>& afterwards = {}) {
    const std::string srun = temporary_.File("bin/srun");
    std::ofstream(srun) << "#!/bin/bash\n" << what << "\n";
    std::filesystem::permissions(srun, std::filesystem::perms::owner_all);
    std::vector<std::string> command = {"srun"};
    command.insert(command.end(), arguments.begin(), arguments.end());
    absl::StatusOr<SlurmSubmission> made =
        PrepareSubmission(folder_, command, afterwards);
    CARACAL_CHECK_OK(made.status());
    script_ = made->script;
  }
  pid_t Start(int job = 1, int restarts = 0) {
    std::vector<std::string> variables = {absl::StrCat("SLURM_JOB_ID=", job)};
    // Not set in a job's first life.
    if (restarts > 0) {
      variables.push_back(absl::StrCat("SLURM_RESTART_COUNT=", restarts));
    }
    return Bash(script_, std::move(variables));
  }
  pid_t Bash(std::vector<std::string> words,
             std::vector<std::string> variables) {
    words.insert(words.begin(), "bash");
    variables.push_back("PATH=" + path_);
    std::vector<char*> argv, envp;
    for (std::string& word : words) argv.push_back(word.data());
    for (std::string& variable : variables) envp.push_back(variable.data());
    argv.push_back(nullptr);
    envp.push_back(nullptr);
    pid_t pid = 0;
    CARACAL_CHECK(posix_spawnp(&pid, "bash", nullptr, nullptr, argv.data(),
                               envp.data()) == 0);
    return pid;
  }
  static int Wait(pid_t pid) {
    int status = 0;
    CARACAL_CHECK(waitpid(pid, &status, 0) == pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }
  bool Exists(const char* name) { return Has(temporary_.File(name)); }
  static bool Has(const std::string& path) {
    return FileSystem::Posix()->Exists(path);
  }
  std::string File(const char* name) { return folder_.path() + "/" + name; }

  const TemporaryFolder temporary_;
  // With what a shell might fall for in its name.
  const GangFolder folder_{temporary_.File("7 $(id) 'x")};
  std::string path_;
  std::vector<std::string> script_;
};

TEST_F(BatchScriptTest, ArgumentsArriveAsTheyAre) {
  Prepare("printf '<%s>' \"$@\" >" + temporary_.File("seen") +
              "; : >\"$CARACAL_GANG/done\"",
          {"a b", "$(id)", "", "'\n", "*"});
  EXPECT_EQ(Wait(Start()), 0);
  EXPECT_EQ(FileSystem::Posix()->ReadFile(temporary_.File("seen")).value(),
            "<a b><$(id)><><'\n><*>");
  EXPECT_EQ(ReadRanksStatus(folder_).value(), 0);
}

TEST_F(BatchScriptTest, LeavesTheRanksStatus) {
  Prepare("exit 85");
  EXPECT_EQ(Wait(Start()), 85);
  EXPECT_EQ(ReadRanksStatus(folder_).value(), 85);
  // The temporary names are gone.
  std::vector<std::string> names =
      FileSystem::Posix()->List(folder_.path()).value();
  EXPECT_THAT(names, ElementsAre("afterwards", "batch.sh", "claim", "command",
                                 "credential", "mark", "spec.json", "status"));
}

TEST_F(BatchScriptTest, WithoutARankThatIsDoneTheGangIsNot) {
  Prepare("exit 0");
  EXPECT_EQ(Wait(Start()), 75);
  EXPECT_EQ(ReadRanksStatus(folder_).value(), 75);
}

TEST_F(BatchScriptTest, WhatComesAfterwardsRunsWhenAllIsDone) {
  const std::string runs = temporary_.File("runs");
  Prepare("echo $1 >>" + runs + "; [ $1 = last ] && exit 1" +
              "; : >\"$CARACAL_GANG/done\"",
          {"first"}, {"srun", "last"});
  EXPECT_EQ(Wait(Start()), 1);
  EXPECT_EQ(FileSystem::Posix()->ReadFile(runs).value(), "first\nlast\n");
  EXPECT_EQ(ReadRanksStatus(folder_).value(), 1);
}

TEST_F(BatchScriptTest, NothingComesAfterAnError) {
  const std::string runs = temporary_.File("runs");
  Prepare("echo $1 >>" + runs + "; exit 85", {"first"}, {"srun", "last"});
  EXPECT_EQ(Wait(Start()), 85);
  EXPECT_EQ(FileSystem::Posix()->ReadFile(runs).value(), "first\n");
}

// The mark of the ranks before it does not count for it.
TEST_F(BatchScriptTest, WhatComesAfterwardsHasToBeDoneToo) {
  Prepare("[ $1 = last ] || : >\"$CARACAL_GANG/done\"", {"first"},
          {"srun", "last"});
  EXPECT_EQ(Wait(Start()), 75);
}

TEST_F(BatchScriptTest, RunsOnce) {
  const std::string runs = temporary_.File("runs");
  Prepare("echo x >>" + runs + "; : >\"$CARACAL_GANG/done\"");
  EXPECT_EQ(Wait(Start(1)), 0);
  EXPECT_EQ(Wait(Start(1, /*restarts=*/1)), 75);
  EXPECT_EQ(Wait(Start(2)), 75);
  EXPECT_EQ(FileSystem::Posix()->ReadFile(runs).value(), "x\n");
  EXPECT_EQ(ReadRanksStatus(folder_).value(), 0);
  EXPECT_THAT(folder_.Revoke(),
              StatusIs(absl::StatusCode::kFailedPrecondition, testing::_));
}

TEST_F(BatchScriptTest, AtTheSameTimeToo) {
  const std::string runs = temporary_.File("runs");
  Prepare("echo x >>" + runs + "; exit 1");
  std::vector<pid_t> pids;
  for (int job = 1; job <= 8; ++job) pids.push_back(Start(job));
  int failed = 0;
  for (const pid_t pid : pids) failed += Wait(pid) == 1;
  EXPECT_EQ(failed, 1);
  EXPECT_EQ(FileSystem::Posix()->ReadFile(runs).value(), "x\n");
}

TEST_F(BatchScriptTest, ARevokedGangDoesNotRun) {
  Prepare("touch " + temporary_.File("ran"));
  ASSERT_OK(folder_.Revoke());
  EXPECT_EQ(Wait(Start()), 75);
  EXPECT_FALSE(Exists("ran"));
  EXPECT_FALSE(Has(File("status")));
}

TEST_F(BatchScriptTest, AnotherLifesGangDoesNotRun) {
  Prepare("touch " + temporary_.File("ran"));
  const std::vector<std::string> old = script_;
  Prepare("touch " + temporary_.File("ran"));
  script_ = old;
  EXPECT_EQ(Wait(Start()), 75);
  EXPECT_FALSE(Has(File("claim")));
  EXPECT_FALSE(Exists("ran"));
}

TEST_F(BatchScriptTest, ACommandThatIsNotWholeDoesNotRun) {
  Prepare("touch " + temporary_.File("ran"), {"a", "b"});
  ASSERT_OK(FileSystem::Posix()->Truncate(File("command"), 5));
  EXPECT_EQ(Wait(Start()), 75);
  ASSERT_OK(FileSystem::Posix()->Remove(File("command")));
  EXPECT_EQ(Wait(Start()), 75);
  EXPECT_FALSE(Exists("ran"));
  EXPECT_FALSE(Has(File("claim")));
}

TEST_F(BatchScriptTest, AskedAgainWhileItEndsItTellsTheRanksStatus) {
  const std::string up = temporary_.File("up");
  for (int gang = 0; gang < 8; ++gang) {
    std::filesystem::remove_all(folder_.path());
    ASSERT_OK(folder_.Create({.id = {7, 3}}));
    std::filesystem::remove(up);
    Prepare("trap 'exit 85' USR1; : >" + up + "; while :; do sleep 0.01; done");
    const pid_t script = Start();
    ASSERT_TRUE(Eventually([&] { return Has(up); }));
    // Without a pause to speak of: the moment is short.
    const absl::Time until = absl::Now() + kPatience;
    int status = 0;
    bool ended = false;
    while (!ended && absl::Now() < until) {
      kill(script, SIGTERM);
      ended = waitpid(script, &status, WNOHANG) == script;
      if (!ended) absl::SleepFor(absl::Microseconds(500));
    }
    if (!ended) kill(script, SIGKILL);
    ASSERT_TRUE(ended);
    EXPECT_EQ(WEXITSTATUS(status), 85);
    EXPECT_EQ(ReadRanksStatus(folder_).value(), 85);
  }
}

TEST_F(BatchScriptTest, SigtermIsPassedOnOnce) {
  const std::string seen = temporary_.File("seen");
  Prepare("trap 'echo x >>" + seen + "' USR1\ntouch " +
          temporary_.File("ready") + "\nuntil [ -e " +
          temporary_.File("release") + " ]; do sleep 0.01; done\nexit 85");
  const pid_t script = Start();
  ASSERT_TRUE(Eventually([&] { return Exists("ready"); }));
  kill(script, SIGTERM);
  ASSERT_TRUE(Eventually([&] { return Has(seen); }));
  for (int i = 0; i < 10; ++i) kill(script, SIGTERM);
  std::ofstream(temporary_.File("release")) << "x";
  EXPECT_EQ(Wait(script), 85);
  EXPECT_EQ(FileSystem::Posix()->ReadFile(seen).value(), "x\n");
  EXPECT_EQ(ReadRanksStatus(folder_).value(), 85);
}

// The script that each rank begins as.
class RankScriptTest : public BatchScriptTest {
 protected:
  int RunRank(int rank, const std::string& where,
              const std::vector<std::string>& program) {
    std::vector<std::string> words = {"-c", kRankScript, "rank", where};
    words.insert(words.end(), program.begin(), program.end());
    return Wait(Bash(words, {absl::StrCat("SLURM_PROCID=", rank),
                             "CARACAL_GANG=" + folder_.path()}));
  }
};

TEST_F(RankScriptTest, OnlyRank0ThatSucceedsIsDone) {
  EXPECT_EQ(RunRank(1, "/", {"true"}), 0);
  EXPECT_EQ(RunRank(0, "/", {"sh", "-c", "exit 85"}), 85);
  EXPECT_EQ(RunRank(0, "/", {"sh", "-c", "kill -KILL $$"}), 137);
  EXPECT_FALSE(Has(File("done")));
  EXPECT_EQ(RunRank(0, "/", {"true"}), 0);
  EXPECT_TRUE(Has(File("done")));
}

TEST_F(RankScriptTest, AMissingFolderIsAnError) {
  EXPECT_EQ(RunRank(0, temporary_.File("none"), {"true"}), 1);
  EXPECT_FALSE(Has(File("done")));
  EXPECT_EQ(RunRank(0, folder_.path(), {"test", "-e", "spec.json"}), 0);
}

TEST_F(RankScriptTest, ArgumentsArriveAsTheyAre) {
  EXPECT_EQ(RunRank(0, "/", {"test", "$(id)", "=", "$(id)"}), 0);
}

}  // namespace
}  // namespace caracal
