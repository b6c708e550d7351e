#include "jobs/launch/foreground_launcher.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/base/status_matchers.h"
#include "core/base/temporary_folder.h"

namespace caracal {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

class Heard : public LauncherEvents {
 public:
  void GangFound(GangId id) override {
    said.push_back(absl::StrCat(ToString(id), " found"));
  }
  void GangEnded(GangId id, GangEnd end, const std::string& reason) override {
    said.push_back(absl::StrCat(ToString(id), " ", NameOf(end), ": ", reason));
  }
  std::vector<std::string> said;
};

class ForegroundLauncherTest : public ::testing::Test {
 protected:
  TemporaryFolder folder_;
  Heard heard_;
  int stops_ = 0;
  ForegroundLauncher launcher_{folder_.path(), [this] { ++stops_; }, &heard_};
};

constexpr char kGone[] = "lost: the process that ran it has ended";

TEST_F(ForegroundLauncherTest, RunsTheGangThatIsAwaited) {
  launcher_.Open();
  EXPECT_OK(launcher_.Start({.id = {1, 1}}));
  EXPECT_EQ(launcher_.Await(1, absl::ZeroDuration()), (GangId{1, 1}));
  EXPECT_OK(launcher_.FolderOf({1, 1}).ReadCredential());
  EXPECT_THAT(launcher_.Start({.id = {1, 1}}),
              StatusIs(absl::StatusCode::kAlreadyExists, testing::_));
  launcher_.Find({1, 1});
  launcher_.Stop({2, 1});
  EXPECT_EQ(stops_, 0);
  launcher_.Stop({1, 1});
  launcher_.Kill({1, 1});
  EXPECT_EQ(stops_, 2);
  launcher_.Ended(GangEnd::kStopped, "saved");
  launcher_.Stop({1, 1});
  EXPECT_EQ(stops_, 2);
  EXPECT_THAT(heard_.said, ElementsAre("1-1 found", "1-1 stopped: saved"));
}

TEST_F(ForegroundLauncherTest, WaitsForItsStart) {
  launcher_.Open();
  std::thread starter([this] { EXPECT_OK(launcher_.Start({.id = {3, 2}})); });
  EXPECT_EQ(launcher_.Await(3, absl::Seconds(60)), (GangId{3, 2}));
  starter.join();
  EXPECT_THAT(heard_.said, IsEmpty());
}

TEST_F(ForegroundLauncherTest, RefusesOtherJobsBeforeAndAfter) {
  launcher_.Open();
  EXPECT_OK(launcher_.Start({.id = {2, 1}}));
  EXPECT_OK(launcher_.Start({.id = {1, 4}}));
  EXPECT_EQ(launcher_.Await(1, absl::ZeroDuration()), (GangId{1, 4}));
  EXPECT_OK(launcher_.Start({.id = {3, 1}}));
  launcher_.Ended(GangEnd::kFailed, "no space");
  // Resumed, when this process is about to end.
  EXPECT_OK(launcher_.Start({.id = {1, 5}}));
  const std::string why =
      "failed: this coordinator runs the job of its `caracal run` alone";
  EXPECT_THAT(heard_.said, ElementsAre("2-1 " + why, "3-1 " + why,
                                       "1-4 failed: no space", "1-5 " + why));
}

TEST_F(ForegroundLauncherTest, GangsOfAnEarlierProcessAreGone) {
  launcher_.Find({1, 1});
  // Preempted, and due again.
  EXPECT_OK(launcher_.Start({.id = {1, 2}}));
  launcher_.Open();
  EXPECT_EQ(launcher_.Await(1, absl::ZeroDuration()), std::nullopt);
  EXPECT_THAT(heard_.said, ElementsAre(absl::StrCat("1-1 ", kGone),
                                       absl::StrCat("1-2 ", kGone)));
}

TEST_F(ForegroundLauncherTest, AFolderThatCannotBeMadeIsTold) {
  ForegroundLauncher nowhere(folder_.File("none"), nullptr, &heard_);
  nowhere.Open();
  EXPECT_OK(nowhere.Start({.id = {1, 1}}));
  ASSERT_EQ(heard_.said.size(), 1);
  EXPECT_THAT(heard_.said[0], testing::HasSubstr("none/1-1"));
}

}  // namespace
}  // namespace caracal
