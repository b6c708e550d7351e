// With commands that stand in for Slurm's: the launcher's thread and processes
// are real.
#include "jobs/launch/slurm/slurm_launcher.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "core/base/file_system.h"
#include "core/base/status_matchers.h"
#include "core/base/temporary_folder.h"

namespace caracal {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::StartsWith;

// Each knows its job by what sbatch was called with, in `marks`, and goes by
// `state`: with none, slurmctld is away, for sbatch so that it never answers.
constexpr char kSbatch[] = R"sh(#!/bin/bash
[ "$1" != --version ] || exit 0
for argument; do
  case "$argument" in --comment=*) echo "${argument#*=}" >>"$FAKE/marks" ;; esac
done
if [ ! -e "$FAKE/state" ]; then
  : >"$FAKE/hangs"  # A pipe: it waits for who reads.
  exec sleep 1000
fi
wc -l <"$FAKE/marks"
)sh";
constexpr char kSqueue[] = R"sh(#!/bin/bash
[ "$1" != --version ] || exit 0
if ! state=$(cat "$FAKE/state" 2>/dev/null); then
  echo 'slurm_load_jobs error: Unable to contact slurm controller' >&2
  exit 1
fi
n=0
while read -r mark; do
  echo "job|$((++n))|$state|None|$mark"
done <"$FAKE/marks"
)sh";
constexpr char kScancel[] = "#!/bin/bash\n";

// "waits 7-3", "silent: why", "silent: ".
class Events : public LauncherEvents {
 public:
  void GangFound(GangId id) override { Add("found " + ToString(id)); }
  void GangWaits(GangId id, const std::string&) override {
    Add("waits " + ToString(id));
  }
  void ClusterSilent(const std::string& reason) override {
    Add("silent: " + reason);
  }
  void GangEnded(GangId id, GangEnd end, const std::string& reason) override {
    Add(absl::StrCat("ended ", ToString(id), " ", static_cast<int>(end), " ",
                     reason));
  }
  // Until there is one that begins so; it.
  std::string Await(const std::string& begin) {
    std::unique_lock lock(mutex_);
    std::string found;
    changed_.wait(lock, [&] {
      for (const std::string& event : all_) {
        if (absl::StartsWith(event, begin)) found = event;
      }
      return !found.empty();
    });
    return found;
  }
  std::vector<std::string> all() {
    const std::lock_guard lock(mutex_);
    return all_;
  }

 private:
  // Once, however often it comes in a row.
  void Add(const std::string& event) {
    const std::lock_guard lock(mutex_);
    if (all_.empty() || all_.back() != event) all_.push_back(event);
    changed_.notify_all();
  }
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<std::string> all_;  // guarded by mutex_
};

class SlurmLauncherTest : public testing::Test {
 protected:
  SlurmLauncherTest() : path_(getenv("PATH")) {
    CARACAL_CHECK(mkfifo(folder_.File("hangs").c_str(), 0600) == 0);
    Program("sbatch", kSbatch);
    Program("squeue", kSqueue);
    Program("scancel", kScancel);
    setenv("PATH", absl::StrCat(folder_.path(), ":", path_).c_str(), 1);
    setenv("FAKE", folder_.path().c_str(), 1);
  }
  ~SlurmLauncherTest() override {
    launcher_ = nullptr;
    setenv("PATH", path_.c_str(), 1);
    unsetenv("FAKE");
  }

  void Open(absl::Duration command_limit) {
    launcher_ =
        SlurmLauncher::Open({.gangs_folder = folder_.File("gangs"),
                             .worker = "/bin/true",
                             .slurm = {.poll_interval = absl::Milliseconds(10),
                                       .command_limit = command_limit,
                                       .grace = absl::ZeroDuration()}},
                            &events_)
            .value();
  }
  void Write(const std::string& file, const std::string& text) {
    ASSERT_OK(FileSystem::Posix()->WriteFileAtomically(file, text));
  }
  void SetState(const std::string& state) {
    Write(folder_.File("state"), state + "\n");
  }
  void Program(const char* name, const char* text) {
    CARACAL_CHECK_OK(
        FileSystem::Posix()->WriteFileAtomically(folder_.File(name), text));
    CARACAL_CHECK(chmod(folder_.File(name).c_str(), 0755) == 0);
  }

  const TemporaryFolder folder_;
  const std::string path_;
  Events events_;
  std::unique_ptr<SlurmLauncher> launcher_;
};

TEST_F(SlurmLauncherTest, WhatSlurmTookWithoutAWordIsFoundWhenItAnswers) {
  Open(absl::Milliseconds(200));
  // Neither call waits for sbatch.
  ASSERT_OK(launcher_->Start({.id = {7, 1}}));
  ASSERT_OK(launcher_->Start({.id = {8, 1}}));
  EXPECT_THAT(launcher_->Start({.id = {7, 1}}),
              StatusIs(absl::StatusCode::kAlreadyExists, testing::_));
  // It is told although orders wait, and before anything of a gang.
  EXPECT_THAT(events_.Await("silent"),
              AllOf(StartsWith("silent: "), HasSubstr("Unable to contact")));
  EXPECT_EQ(events_.all().size(), 1);
  SetState("PENDING");
  events_.Await("waits 7-1");
  events_.Await("waits 8-1");
  EXPECT_EQ(events_.all()[1], "silent: ");
  SetState("RUNNING");
  events_.Await("found 7-1");
  events_.Await("found 8-1");
  Write(launcher_->FolderOf({7, 1}).path() + "/status", "exit 0\n");
  Write(launcher_->FolderOf({8, 1}).path() + "/status", "exit 85\n");
  SetState("COMPLETED");
  EXPECT_THAT(events_.Await("ended 7-1"), StartsWith("ended 7-1 0"));
  EXPECT_THAT(events_.Await("ended 8-1"), StartsWith("ended 8-1 1"));
}

TEST_F(SlurmLauncherTest, ACommandThatHangsIsEndedWithTheLauncher) {
  Open(absl::Hours(1));
  ASSERT_OK(launcher_->Start({.id = {7, 1}}));
  launcher_->Stop({7, 1});
  // Until it does.
  ASSERT_OK(FileSystem::Posix()->ReadFile(folder_.File("hangs")));
  launcher_ = nullptr;
  EXPECT_THAT(events_.all(), ElementsAre());
  // The next one finds what came of it.
  SetState("PENDING");
  Open(absl::Minutes(1));
  launcher_->Find({7, 1});
  EXPECT_EQ(events_.Await("waits"), "waits 7-1");
}

TEST_F(SlurmLauncherTest, WithoutSlurmsCommandsThereIsNone) {
  ASSERT_EQ(unlink(folder_.File("squeue").c_str()), 0);
  setenv("PATH", folder_.path().c_str(), 1);
  EXPECT_THAT(SlurmLauncher::Open({.gangs_folder = folder_.File("gangs"),
                                   .worker = "/bin/true"},
                                  &events_)
                  .status(),
              StatusIs(absl::StatusCode::kNotFound,
                       AllOf(HasSubstr("squeue"), HasSubstr("slurm-client"))));
}

}  // namespace
}  // namespace caracal
