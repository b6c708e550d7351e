#include "jobs/launch/stuck_launcher.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/base/fake_clock.h"

namespace caracal {
namespace {

using testing::IsEmpty;

constexpr absl::Duration kPatience = absl::Seconds(5);
const std::vector<ChildProcess> kNone;
const std::vector<ChildProcess> kAlive = {{7, false}, {8, false}};
const std::vector<ChildProcess> kOneEnded = {{7, true}, {8, false}};

class StuckLauncherTest : public testing::Test {
 protected:
  bool LookAfter(absl::Duration time,
                 const std::vector<ChildProcess>& children) {
    clock_.Advance(time);
    return launcher_.Look(children);
  }
  FakeClock clock_;
  StuckLauncher launcher_{kPatience, &clock_};
};

TEST_F(StuckLauncherTest, StartingAndRunningTakeAnyTime) {
  EXPECT_FALSE(LookAfter(absl::Hours(1), kNone));
  EXPECT_FALSE(LookAfter(absl::Hours(1), kNone));
  EXPECT_FALSE(LookAfter(absl::Hours(1), kAlive));
  EXPECT_FALSE(LookAfter(absl::Hours(1), kAlive));
}

TEST_F(StuckLauncherTest, AnEndedChildIsTakenNoteOfOrItIsStuck) {
  EXPECT_FALSE(LookAfter(absl::Hours(1), kOneEnded));
  EXPECT_FALSE(LookAfter(kPatience - absl::Milliseconds(1), kOneEnded));
  EXPECT_FALSE(LookAfter(absl::Milliseconds(1), kAlive));
  EXPECT_FALSE(LookAfter(absl::Hours(1), kOneEnded));
  EXPECT_TRUE(LookAfter(kPatience, kOneEnded));
}

TEST_F(StuckLauncherTest, AfterTheLastChildItEndsOrItIsStuck) {
  EXPECT_FALSE(LookAfter(absl::ZeroDuration(), kAlive));
  EXPECT_FALSE(LookAfter(absl::Hours(1), kNone));
  EXPECT_TRUE(LookAfter(kPatience, kNone));
}

TEST(ChildrenOf, SeesWhichHaveEnded) {
  EXPECT_THAT(ChildrenOf(getpid()), IsEmpty());
  const pid_t child = fork();
  while (child == 0) pause();
  std::vector<ChildProcess> children = ChildrenOf(getpid());
  ASSERT_EQ(children.size(), 1);
  EXPECT_EQ(children[0].pid, child);
  EXPECT_FALSE(children[0].ended);
  kill(child, SIGKILL);
  siginfo_t info;
  ASSERT_EQ(waitid(P_PID, child, &info, WEXITED | WNOWAIT), 0);
  children = ChildrenOf(getpid());
  ASSERT_EQ(children.size(), 1);
  EXPECT_TRUE(children[0].ended);
  ASSERT_EQ(waitpid(child, nullptr, 0), child);
  EXPECT_THAT(ChildrenOf(getpid()), IsEmpty());
}

}  // namespace
}  // namespace caracal
