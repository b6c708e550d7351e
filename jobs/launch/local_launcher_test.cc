#include "jobs/launch/local_launcher.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <condition_variable>
#include <filesystem>
#include <fstream>
#include <functional>
#include <mutex>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "core/base/file_system.h"
#include "core/base/status_matchers.h"
#include "core/base/temporary_folder.h"
#include "jobs/launch/gang_processes.h"
#include "jobs/launch/stuck_launcher.h"

namespace caracal {
namespace {

using absl::StatusCode;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr absl::Duration kPatience = absl::Seconds(60);

bool Eventually(const std::function<bool()>& holds) {
  const absl::Time until = absl::Now() + kPatience;
  while (!holds()) {
    if (absl::Now() > until) return false;
    absl::SleepFor(absl::Milliseconds(5));
  }
  return true;
}

// What the launcher tells: "found 1-1", "ended 1-1 done: ...".
class Events : public LauncherEvents {
 public:
  void GangFound(GangId id) override { Add("found " + ToString(id)); }
  void GangEnded(GangId id, GangEnd end, const std::string& reason) override {
    Add(absl::StrCat("ended ", ToString(id), " ", NameOf(end), ": ", reason));
  }
  // The event of this index, once it is there.
  std::string Wait(size_t index = 0) {
    std::unique_lock lock(mutex_);
    const bool there =
        changed_.wait_for(lock, absl::ToChronoSeconds(kPatience),
                          [&] { return events_.size() > index; });
    return there ? events_[index] : "nothing";
  }
  std::vector<std::string> All() {
    const std::lock_guard lock(mutex_);
    return events_;
  }

 private:
  void Add(std::string event) {
    const std::lock_guard lock(mutex_);
    events_.push_back(std::move(event));
    changed_.notify_all();
  }
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<std::string> events_;
};

class LocalLauncherTest : public testing::Test {
 protected:
  ~LocalLauncherTest() override {
    launcher_.reset();
    // What a test that failed has left.
    for (const GangId id : {kId, GangId{1, 2}}) {
      const GangFolder folder = Folder(id);
      const absl::StatusOr<GangSight> sight = folder.Inspect();
      if (sight.ok() && sight->pid > 0 && sight->phase == GangPhase::kRunning) {
        kill(sight->pid, SIGKILL);
      }
      while (KillGangProcesses(folder.path()) > 0) {
      }
    }
  }

  static std::string Runfile(const std::string& path) {
    return std::filesystem::absolute(path);
  }
  const std::string gang_program_ = Runfile("jobs/launch/caracal-gang");

  // A new one, which knows nothing of the last.
  void Open(absl::Duration kill_patience = kPatience) {
    launcher_.reset();
    events_ = std::make_unique<Events>();
    absl::StatusOr<std::unique_ptr<LocalLauncher>> opened =
        LocalLauncher::Open({.gangs_folder = temporary_.File("gangs"),
                             .gang_program = gang_program_,
                             .kill_patience = kill_patience},
                            events_.get());
    CARACAL_CHECK_OK(opened.status());
    launcher_ = *std::move(opened);
  }
  GangSpec Spec(std::vector<std::string> arguments, int ranks = 1) {
    return {.id = kId,
            .program = Runfile("jobs/launch/testing/fake_worker"),
            .arguments = std::move(arguments),
            .working_directory = temporary_.path(),
            .ranks = ranks};
  }
  GangFolder Folder(GangId id = kId) {
    return GangFolder(
        std::filesystem::weakly_canonical(temporary_.File("gangs")).string() +
        "/" + ToString(id));
  }
  // Ranks that hold on until there is a file `release`.
  void StartRanks(int ranks = 1, const char* how = "hold") {
    ASSERT_OK(launcher_->Start(Spec({how, temporary_.path()}, ranks)));
    for (int rank = 0; rank < ranks; ++rank) {
      ASSERT_TRUE(Eventually([&] { return RankPid(rank) > 0; })) << Output();
    }
  }
  pid_t RankPid(int rank) {
    std::ifstream file(temporary_.File(absl::StrCat("rank.", rank)));
    pid_t pid = 0;
    file >> pid;
    return pid;
  }
  void Release() { std::ofstream(temporary_.File("release")) << "x"; }
  pid_t SupervisorPid() {
    const absl::StatusOr<GangSight> sight = Folder().Inspect();
    EXPECT_OK(sight.status());
    EXPECT_EQ(sight->phase, GangPhase::kRunning);
    return sight->pid;
  }
  std::string Output() {
    return FileSystem::Posix()
        ->ReadFile(Folder().output())
        .value_or("no output");
  }
  // The exit status of a caracal-gang for it.
  int RunSupervisor() {
    std::string program = gang_program_, folder = Folder().path();
    char* const argv[] = {program.data(), folder.data(), nullptr};
    pid_t pid = 0;
    EXPECT_EQ(
        posix_spawn(&pid, program.c_str(), nullptr, nullptr, argv, environ), 0);
    int status = 0;
    EXPECT_EQ(waitpid(pid, &status, 0), pid);
    return WEXITSTATUS(status);
  }

  static constexpr GangId kId = {1, 1};
  const TemporaryFolder temporary_;
  std::unique_ptr<Events> events_;
  std::unique_ptr<LocalLauncher> launcher_;
};

TEST_F(LocalLauncherTest, TellsHowGangsEnd) {
  Open();
  const struct {
    const char* status;
    const char* end;
  } kCases[] = {{"0", "ended 1-1 done: "},
                {"85", "ended 1-2 stopped: "},
                {"75", "ended 1-3 lost: "},
                {"1", "ended 1-4 failed: "}};
  size_t seen = 0;
  for (const auto& [status, end] : kCases) {
    GangSpec spec = Spec({"exit", status});
    spec.id.epoch = ++seen;
    ASSERT_OK(launcher_->Start(spec));
    EXPECT_THAT(events_->Wait(seen - 1), testing::StartsWith(end));
  }
}

TEST_F(LocalLauncherTest, TheReasonIsWhatARankSays) {
  Open();
  ASSERT_OK(launcher_->Start(
      Spec({"say", "caracal-worker: rank 1 on h: no rows; $HOME", "1"}, 2)));
  EXPECT_EQ(events_->Wait(), "ended 1-1 failed: rank 1 on h: no rows; $HOME");
  EXPECT_THAT(Output(), HasSubstr("no rows"));
}

TEST_F(LocalLauncherTest, WhatCannotStartHasFailed) {
  Open();
  GangSpec spec = Spec({});
  spec.working_directory = temporary_.File("missing");
  ASSERT_OK(launcher_->Start(spec));
  EXPECT_THAT(events_->Wait(),
              AllOf(HasSubstr("1-1 failed"), HasSubstr("missing")));
  spec = Spec({});
  spec.id.epoch = 2;
  spec.program = temporary_.File("no_worker");
  ASSERT_OK(launcher_->Start(spec));
  EXPECT_THAT(events_->Wait(1), HasSubstr("1-2 failed"));
  spec.id.epoch = 3;
  spec.program = "\xff";
  ASSERT_OK(launcher_->Start(spec));
  EXPECT_THAT(events_->Wait(2),
              AllOf(HasSubstr("1-3 failed"), HasSubstr("UTF-8")));
}

TEST_F(LocalLauncherTest, WithoutItsProgramNothingStarts) {
  Events events;
  ASSERT_OK_AND_ASSIGN(
      const auto launcher,
      LocalLauncher::Open({.gangs_folder = temporary_.File("gangs"),
                           .gang_program = temporary_.File("missing")},
                          &events));
  ASSERT_OK(launcher->Start(Spec({"exit", "0"})));
  EXPECT_THAT(events.Wait(), HasSubstr("1-1 failed: can't start"));
  EXPECT_EQ(Folder().Inspect().value().phase, GangPhase::kRevoked);
}

TEST_F(LocalLauncherTest, AGangIsStartedOnce) {
  Open();
  StartRanks();
  EXPECT_THAT(launcher_->Start(Spec({"exit", "1"})),
              StatusIs(StatusCode::kAlreadyExists, HasSubstr("1-1")));
  EXPECT_EQ(RunSupervisor(), 1);
  Open();
  EXPECT_THAT(launcher_->Start(Spec({"exit", "1"})),
              StatusIs(StatusCode::kAlreadyExists, HasSubstr("1-1")));
  launcher_->Find(kId);
  EXPECT_EQ(events_->Wait(), "found 1-1");
  Release();
  EXPECT_EQ(events_->Wait(1), "ended 1-1 done: ");
  EXPECT_EQ(RunSupervisor(), 1);
  EXPECT_THAT(launcher_->Start(Spec({"exit", "1"})),
              StatusIs(StatusCode::kAlreadyExists, HasSubstr("1-1")));
  EXPECT_EQ(events_->All().size(), 2);
}

TEST_F(LocalLauncherTest, AGangOutlivesItsLauncherAndIsFoundAgain) {
  Open();
  StartRanks(2);
  Open();
  launcher_->Find(kId);
  EXPECT_EQ(events_->Wait(), "found 1-1");
  launcher_->Find(kId);
  EXPECT_EQ(events_->Wait(1), "found 1-1");
  Release();
  EXPECT_EQ(events_->Wait(2), "ended 1-1 done: ");
  EXPECT_THAT(GangProcesses(Folder().path()), IsEmpty());
}

TEST_F(LocalLauncherTest, AnEndThatNobodySawIsTold) {
  Open();
  StartRanks();
  launcher_.reset();
  Release();
  ASSERT_TRUE(Eventually(
      [&] { return Folder().Inspect().value().phase == GangPhase::kEnded; }));
  for (int i = 0; i < 2; ++i) {
    Open();
    launcher_->Find(kId);
    EXPECT_EQ(events_->Wait(), "ended 1-1 done: ");
  }
}

TEST_F(LocalLauncherTest, WhatWasNotStartedNeverWillBe) {
  Open();
  launcher_->Find(kId);
  EXPECT_EQ(events_->Wait(), absl::StrCat("ended 1-1 lost: ", kNoTrace));
  EXPECT_THAT(launcher_->Start(Spec({"exit", "0"})),
              StatusIs(StatusCode::kAlreadyExists, HasSubstr("1-1")));
  // Ordered, and then the coordinator was killed.
  GangSpec spec = Spec({"hold", temporary_.path()});
  ASSERT_OK(Folder({1, 2}).Create(spec));
  launcher_->Find({1, 2});
  EXPECT_EQ(events_->Wait(1), absl::StrCat("ended 1-2 lost: ", kNoTrace));
  // A supervisor that comes late.
  EXPECT_EQ(RunSupervisor(), 1);
  EXPECT_FALSE(FileSystem::Posix()->Exists(Folder().output()));
}

TEST_F(LocalLauncherTest, StopsWhenAskedTo) {
  // Neither is handed on to the gang.
  sigset_t blocked, before;
  sigemptyset(&blocked);
  sigaddset(&blocked, SIGUSR1);
  sigaddset(&blocked, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &blocked, &before);
  const int open_file =
      open(temporary_.File("open").c_str(), O_RDWR | O_CREAT, 0600);
  Open();
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  StartRanks(2);
  const std::string fds = absl::StrCat("/proc/", SupervisorPid(), "/fd");
  for (const auto& entry : std::filesystem::directory_iterator(fds)) {
    std::error_code gone;
    EXPECT_FALSE(absl::StrContains(
        std::filesystem::read_symlink(entry.path(), gone).string(), "open"));
  }
  EXPECT_EQ(getsid(SupervisorPid()), SupervisorPid());
  launcher_->Stop(kId);
  launcher_->Stop(kId);
  EXPECT_THAT(events_->Wait(), HasSubstr("ended 1-1 stopped"));
  close(open_file);
}

TEST_F(LocalLauncherTest, StopsAGangThatItFound) {
  Open();
  StartRanks();
  Open();
  launcher_->Stop(kId);
  EXPECT_THAT(events_->Wait(), HasSubstr("ended 1-1 stopped"));
}

TEST_F(LocalLauncherTest, StopRightAfterStart) {
  Open();
  ASSERT_OK(launcher_->Start(Spec({"hold", temporary_.path()})));
  launcher_->Stop(kId);
  EXPECT_THAT(events_->Wait(), HasSubstr("ended 1-1 stopped"));
}

TEST_F(LocalLauncherTest, KillRightAfterStart) {
  Open();
  ASSERT_OK(launcher_->Start(Spec({"hold", temporary_.path()})));
  launcher_->Kill(kId);
  EXPECT_THAT(events_->Wait(), HasSubstr("ended 1-1 lost"));
  EXPECT_THAT(GangProcesses(Folder().path()), IsEmpty());
}

TEST_F(LocalLauncherTest, KillsRanksThatDoNotListen) {
  Open();
  StartRanks(2, "deaf");
  launcher_->Stop(kId);
  launcher_->Kill(kId);
  EXPECT_EQ(events_->Wait(), "ended 1-1 lost: the ranks were killed");
  EXPECT_THAT(GangProcesses(Folder().path()), IsEmpty());
  EXPECT_EQ(events_->All().size(), 1);
}

TEST_F(LocalLauncherTest, KillsAHangingMpirun) {
  Open();
  StartRanks(2, "deaf");
  const std::vector<ChildProcess> children = ChildrenOf(SupervisorPid());
  ASSERT_EQ(children.size(), 1);
  kill(children[0].pid, SIGSTOP);
  kill(RankPid(1), SIGSTOP);
  launcher_->Kill(kId);
  EXPECT_THAT(events_->Wait(), HasSubstr("ended 1-1 lost"));
  EXPECT_THAT(GangProcesses(Folder().path()), IsEmpty());
}

TEST_F(LocalLauncherTest, KillsASupervisorThatHangs) {
  Open(/*kill_patience=*/absl::Milliseconds(10));
  StartRanks(2, "deaf");
  const GangSight sight = Folder().Inspect().value();
  kill(sight.pid, SIGSTOP);
  launcher_->Kill(kId);
  EXPECT_EQ(events_->Wait(),
            "ended 1-1 lost: the gang was killed, with its supervisor");
  EXPECT_THAT(GangProcesses(Folder().path()), IsEmpty());
}

TEST_F(LocalLauncherTest, AKilledSupervisorIsNoticedWithItsRanks) {
  Open();
  StartRanks(2, "deaf");
  kill(SupervisorPid(), SIGKILL);
  // By whom, or whether it had no room for its end, is not known.
  EXPECT_EQ(events_->Wait(),
            "ended 1-1 lost: the gang ended without a word (its output.log may "
            "tell)");
  EXPECT_THAT(GangProcesses(Folder().path()), IsEmpty());
}

// The kernel's doing alone: nobody sweeps, mpirun can't, and the ranks do not
// listen.
TEST_F(LocalLauncherTest, NothingOutlivesASupervisorThatIsKilled) {
  Open();
  StartRanks(2, "deaf");
  launcher_.reset();
  ASSERT_EQ(GangProcesses(Folder().path()).size(), 3);
  const std::vector<ChildProcess> children = ChildrenOf(SupervisorPid());
  ASSERT_EQ(children.size(), 1);
  kill(children[0].pid, SIGSTOP);
  kill(SupervisorPid(), SIGKILL);
  EXPECT_TRUE(
      Eventually([&] { return GangProcesses(Folder().path()).empty(); }));
  EXPECT_EQ(Folder().Inspect().value().phase, GangPhase::kVanished);
  Open();
  launcher_->Find(kId);
  EXPECT_THAT(events_->Wait(), HasSubstr("ended 1-1 lost"));
}

// Neither mpirun nor any rank is shot down by the kernel: the launcher does it.
TEST_F(LocalLauncherTest, SweepsUpWhatAKilledSupervisorHasLeft) {
  Open();
  ASSERT_OK(Folder().Create(Spec({})));
  ASSERT_OK(FileSystem::Posix()->WriteFileAtomically(
      Folder().path() + "/claim", R"({"pid": 1, "start_time": 1})"));
  char program[] = "/bin/sleep", argument[] = "600";
  char* const argv[] = {program, argument, nullptr};
  std::string mark = std::string(kGangVariable) + "=" + Folder().path();
  char* const environment[] = {mark.data(), nullptr};
  pid_t pid = 0;
  ASSERT_EQ(posix_spawn(&pid, program, nullptr, nullptr, argv, environment), 0);
  launcher_->Find(kId);
  EXPECT_THAT(events_->Wait(), HasSubstr("ended 1-1 lost"));
  EXPECT_THAT(GangProcesses(Folder().path()), IsEmpty());
  int status = 0;
  ASSERT_EQ(waitpid(pid, &status, 0), pid);
  EXPECT_TRUE(WIFSIGNALED(status));
}

// A folder of long ago, whose supervisor's number another process has now.
TEST_F(LocalLauncherTest, AProcessThatHasTheNumberNowIsLeftAlone) {
  const pid_t other = fork();
  while (other == 0) pause();
  Open(/*kill_patience=*/absl::ZeroDuration());
  ASSERT_OK(Folder().Create(Spec({})));
  ASSERT_OK(FileSystem::Posix()->WriteFileAtomically(
      Folder().path() + "/claim",
      absl::StrCat(R"({"pid": )", other, R"(, "start_time": 1})")));
  ASSERT_OK(FileSystem::Posix()->Append(Folder().path() + "/lock", ""));
  launcher_->Stop(kId);
  launcher_->Kill(kId);
  EXPECT_THAT(events_->Wait(), HasSubstr("ended 1-1 lost"));
  EXPECT_EQ(waitpid(other, nullptr, WNOHANG), 0);
  kill(other, SIGKILL);
  EXPECT_EQ(waitpid(other, nullptr, 0), other);
}

// Who claimed the gang does not hold its lock, but somebody does: it may be
// there, and nobody is signalled.
TEST_F(LocalLauncherTest, WhoeverHoldsTheLockIsWaitedFor) {
  const pid_t other = fork();
  while (other == 0) pause();
  ASSERT_OK(FileSystem::Posix()->CreateFolder(temporary_.File("gangs")));
  ASSERT_OK(Folder().Create(Spec({})));
  ASSERT_OK(FileSystem::Posix()->WriteFileAtomically(
      Folder().path() + "/claim",
      absl::StrCat(R"({"pid": )", other, R"(, "start_time": 1})")));
  const pid_t holder = fork();
  if (holder == 0) {
    const absl::StatusOr<GangClaim> none = GangClaim::Take(Folder());
    const int fd = open((Folder().path() + "/lock").c_str(), O_RDWR);
    struct flock whole = {};
    whole.l_type = F_WRLCK;
    if (fcntl(fd, F_SETLK, &whole) != 0) _exit(1);
    while (true) pause();
  }
  ASSERT_TRUE(Eventually(
      [&] { return Folder().Inspect().value().phase == GangPhase::kRunning; }));
  Open(/*kill_patience=*/absl::ZeroDuration());
  launcher_->Find(kId);
  EXPECT_EQ(events_->Wait(), "found 1-1");
  launcher_->Kill(kId);
  kill(holder, SIGKILL);
  EXPECT_EQ(waitpid(holder, nullptr, 0), holder);
  EXPECT_THAT(events_->Wait(1), HasSubstr("ended 1-1 lost"));
  EXPECT_EQ(waitpid(other, nullptr, WNOHANG), 0);
  kill(other, SIGKILL);
  EXPECT_EQ(waitpid(other, nullptr, 0), other);
}

TEST_F(LocalLauncherTest, NothingIsLeftInMemory) {
  Open();
  StartRanks(2, "deaf");
  const GangSight sight = Folder().Inspect().value();
  const std::string shared =
      absl::StrCat("/dev/shm/caracal-", sight.pid, "-", sight.start_time);
  EXPECT_TRUE(FileSystem::Posix()->Exists(shared));
  kill(sight.pid, SIGKILL);
  events_->Wait();
  EXPECT_FALSE(FileSystem::Posix()->Exists(shared));
}

// Orders come from any thread while gangs end.
TEST_F(LocalLauncherTest, OrdersMayComeFromManyThreads) {
  Open();
  StartRanks();
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      for (int n = 0; n < 50; ++n) {
        launcher_->Find(kId);
        EXPECT_TRUE(
            absl::IsAlreadyExists(launcher_->Start(Spec({"exit", "1"}))));
      }
    });
  }
  Release();
  for (std::thread& thread : threads) thread.join();
  ASSERT_TRUE(Eventually([&] {
    return !events_->All().empty() &&
           absl::StartsWith(events_->All().back(), "ended 1-1 done");
  }));
}

}  // namespace
}  // namespace caracal
