#include "jobs/launch/gang_folder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <string>

#include "core/base/file_system.h"
#include "core/base/status_matchers.h"
#include "core/base/temporary_folder.h"

namespace caracal {
namespace {

using absl::StatusCode;
using testing::HasSubstr;

int ModeOf(const std::string& path) {
  struct stat info = {};
  EXPECT_EQ(stat(path.c_str(), &info), 0) << path;
  return info.st_mode & 0777;
}

// A process that is the gang's supervisor, until it is told to end.
class Supervisor {
 public:
  // Returns when it has claimed the gang.
  explicit Supervisor(const GangFolder& folder) {
    EXPECT_EQ(pipe(ready_), 0);
    EXPECT_EQ(pipe(go_), 0);
    pid_ = fork();
    if (pid_ == 0) {
      const absl::StatusOr<GangClaim> claim = GangClaim::Take(folder);
      char byte = claim.ok() ? 'y' : 'n';
      (void)!write(ready_[1], &byte, 1);
      close(go_[1]);
      (void)!read(go_[0], &byte, 1);
      if (byte == 'e') {
        CARACAL_CHECK_OK(folder.WriteEnd(
            {GangEnd::kStopped, "as asked", absl::FromUnixSeconds(7)}));
      }
      _exit(0);
    }
    char byte = 0;
    EXPECT_EQ(read(ready_[0], &byte, 1), 1);
    claimed_ = byte == 'y';
  }
  ~Supervisor() {
    if (pid_ != 0) Kill();
    for (const int fd : {ready_[0], ready_[1], go_[0], go_[1]}) close(fd);
  }
  pid_t pid() const { return pid_; }
  bool claimed() const { return claimed_; }
  void End() {
    EXPECT_EQ(write(go_[1], "e", 1), 1);
    waitpid(std::exchange(pid_, 0), nullptr, 0);
  }
  void Kill() {
    kill(pid_, SIGKILL);
    waitpid(std::exchange(pid_, 0), nullptr, 0);
  }

 private:
  int ready_[2], go_[2];
  pid_t pid_ = 0;
  bool claimed_ = false;
};

class GangFolderTest : public testing::Test {
 protected:
  GangPhase Phase() {
    const absl::StatusOr<GangSight> sight = folder_.Inspect();
    EXPECT_OK(sight.status());
    return sight.ok() ? sight->phase : GangPhase::kNotStarted;
  }
  TemporaryFolder temporary_;
  const GangSpec spec_ = {.id = {1, 2}, .arguments = {"--job", "j"}};
  const GangFolder folder_{temporary_.File("1-2")};
};

TEST_F(GangFolderTest, IsMadeOnceAndForItsUserOnly) {
  ASSERT_OK(folder_.Create(spec_));
  EXPECT_EQ(ModeOf(folder_.path()), 0700);
  EXPECT_EQ(ModeOf(folder_.path() + "/credential"), 0600);
  ASSERT_OK_AND_ASSIGN(const GangSpec spec, folder_.ReadSpec());
  EXPECT_EQ(spec, spec_);
  ASSERT_OK_AND_ASSIGN(const std::string credential, folder_.ReadCredential());
  EXPECT_EQ(credential.size(), 64);
  EXPECT_EQ(credential.find_first_not_of("0123456789abcdef"),
            std::string::npos);
  EXPECT_THAT(folder_.Create(spec_),
              StatusIs(StatusCode::kAlreadyExists, HasSubstr("1-2")));
  const GangFolder other(temporary_.File("1-3"));
  ASSERT_OK(other.Create(spec_));
  EXPECT_NE(other.ReadCredential().value(), credential);
}

TEST_F(GangFolderTest, WhatJsonCannotHoldIsRefused) {
  GangSpec spec = spec_;
  spec.arguments = {"\xff"};
  EXPECT_THAT(folder_.Create(spec),
              StatusIs(StatusCode::kInvalidArgument, HasSubstr("UTF-8")));
  EXPECT_EQ(Phase(), GangPhase::kNotStarted);
}

TEST_F(GangFolderTest, TellsItsPhases) {
  EXPECT_EQ(Phase(), GangPhase::kNotStarted);
  ASSERT_OK(folder_.Create(spec_));
  EXPECT_EQ(Phase(), GangPhase::kNotStarted);
  Supervisor supervisor(folder_);
  ASSERT_TRUE(supervisor.claimed());
  ASSERT_OK_AND_ASSIGN(const GangSight running, folder_.Inspect());
  EXPECT_EQ(running.phase, GangPhase::kRunning);
  EXPECT_EQ(running.pid, supervisor.pid());
  EXPECT_GT(running.start_time, 0);
  supervisor.End();
  ASSERT_OK_AND_ASSIGN(const GangSight ended, folder_.Inspect());
  EXPECT_EQ(ended.phase, GangPhase::kEnded);
  EXPECT_EQ(ended.ending.end, GangEnd::kStopped);
  EXPECT_EQ(ended.ending.message, "as asked");
  EXPECT_EQ(ended.ending.when, absl::FromUnixSeconds(7));
}

TEST_F(GangFolderTest, ASupervisorThatIsKilledHasVanished) {
  ASSERT_OK(folder_.Create(spec_));
  Supervisor supervisor(folder_);
  supervisor.Kill();
  EXPECT_EQ(Phase(), GangPhase::kVanished);
  // Nobody takes its place.
  EXPECT_FALSE(Supervisor(folder_).claimed());
}

TEST_F(GangFolderTest, IsClaimedOnce) {
  ASSERT_OK(folder_.Create(spec_));
  const Supervisor first(folder_), second(folder_);
  EXPECT_TRUE(first.claimed());
  EXPECT_FALSE(second.claimed());
  EXPECT_EQ(folder_.Inspect().value().pid, first.pid());
}

TEST_F(GangFolderTest, RevokedItIsNeverClaimed) {
  ASSERT_OK(folder_.Create(spec_));
  ASSERT_OK(folder_.Revoke());
  ASSERT_OK(folder_.Revoke());
  EXPECT_EQ(Phase(), GangPhase::kRevoked);
  EXPECT_FALSE(Supervisor(folder_).claimed());
  EXPECT_EQ(Phase(), GangPhase::kRevoked);
}

TEST_F(GangFolderTest, WhatIsNotThereIsRevokedToo) {
  ASSERT_OK(folder_.Revoke());
  EXPECT_EQ(Phase(), GangPhase::kRevoked);
  EXPECT_EQ(ModeOf(folder_.path()), 0700);
  EXPECT_THAT(folder_.Create(spec_),
              StatusIs(StatusCode::kAlreadyExists, HasSubstr("1-2")));
}

TEST_F(GangFolderTest, ClaimedItCannotBeRevoked) {
  ASSERT_OK(folder_.Create(spec_));
  Supervisor supervisor(folder_);
  for (int i = 0; i < 2; ++i) {
    EXPECT_THAT(folder_.Revoke(), StatusIs(StatusCode::kFailedPrecondition,
                                           HasSubstr("claimed")));
    EXPECT_EQ(Phase(), i == 0 ? GangPhase::kRunning : GangPhase::kVanished);
    if (i == 0) supervisor.Kill();
  }
}

// Supervisor and coordinator at the same time: one of them wins.
TEST_F(GangFolderTest, ClaimAndRevocationExcludeEachOther) {
  for (int i = 0; i < 50; ++i) {
    const GangFolder folder(temporary_.File(absl::StrCat("race", i)));
    ASSERT_OK(folder.Create(spec_));
    const pid_t rival = fork();
    if (rival == 0) _exit(folder.Revoke().ok() ? 1 : 0);
    const Supervisor supervisor(folder);
    int revoked = 0;
    ASSERT_EQ(waitpid(rival, &revoked, 0), rival);
    EXPECT_NE(supervisor.claimed(), WEXITSTATUS(revoked) == 1);
  }
}

// Its number went to another process: it is not taken for the supervisor.
TEST_F(GangFolderTest, AProcessWithoutTheLockIsNotIt) {
  ASSERT_OK(folder_.Create(spec_));
  FileSystem* const files = FileSystem::Posix();
  ASSERT_OK(files->WriteFileAtomically(
      folder_.path() + "/claim",
      absl::StrCat(R"({"pid": )", getppid(), R"(, "start_time": 1})")));
  EXPECT_EQ(Phase(), GangPhase::kVanished);
  // Another one holds the lock for a moment, until it sees the claim.
  const GangFolder other(temporary_.File("other"));
  ASSERT_OK(other.Create(spec_));
  const Supervisor supervisor(other);
  ASSERT_EQ(std::rename((other.path() + "/lock").c_str(),
                        (folder_.path() + "/lock").c_str()),
            0);
  ASSERT_OK_AND_ASSIGN(const GangSight sight, folder_.Inspect());
  EXPECT_EQ(sight.phase, GangPhase::kRunning);
  EXPECT_EQ(sight.pid, 0);
}

TEST_F(GangFolderTest, DamagedFilesAreNoReasonToThinkThatItRuns) {
  ASSERT_OK(folder_.Create(spec_));
  FileSystem* const files = FileSystem::Posix();
  ASSERT_OK(files->WriteFileAtomically(folder_.path() + "/claim", ""));
  EXPECT_EQ(Phase(), GangPhase::kVanished);
  for (const char* text : {"", "[]", R"({"end": "well"})", R"({"end": 1})"}) {
    ASSERT_OK(files->WriteFileAtomically(folder_.path() + "/end.json", text));
    ASSERT_OK_AND_ASSIGN(const GangSight sight, folder_.Inspect());
    EXPECT_EQ(sight.phase, GangPhase::kEnded);
    EXPECT_EQ(sight.ending.end, GangEnd::kLost);
    EXPECT_THAT(sight.ending.message, HasSubstr("end.json"));
  }
}

TEST(GangFolderFilesTest, TheFirstStepStaysAndAllOfItCanGo) {
  TemporaryFolder root;
  const GangFolder folder(root.File("7-1"));
  ASSERT_OK(folder.Create({.id = {7, 1}}));
  EXPECT_THAT(folder.ReadFirstStep().status(),
              StatusIs(StatusCode::kNotFound, HasSubstr("first_step")));
  ASSERT_OK(folder.WriteFirstStep(13));
  ASSERT_OK(folder.WriteFirstStep(14));
  EXPECT_EQ(*folder.ReadFirstStep(), 13);
  const int64_t before = folder.Bytes().value();
  EXPECT_GT(before, 64);  // of the credential alone
  ASSERT_OK(FileSystem::Posix()->Append(folder.output(), "hello\n"));
  EXPECT_EQ(folder.Bytes(), before + 6);
  ASSERT_OK(folder.Remove());
  EXPECT_FALSE(FileSystem::Posix()->Exists(folder.path()));
  EXPECT_EQ(folder.Bytes(), std::nullopt);
  EXPECT_OK(folder.Remove());
}

}  // namespace
}  // namespace caracal
