#include "core/base/steady_condition.h"

#include <gtest/gtest.h>

#include <thread>

#include "absl/time/clock.h"
#include "core/base/clock.h"
#include "core/base/wall_clock_ahead.h"

namespace caracal {
namespace {

constexpr absl::Duration kShort = absl::Milliseconds(20);

class SteadyConditionTest : public ::testing::Test {
 protected:
  bool WaitFor(absl::Duration patience) {
    absl::MutexLock lock(&mutex_);
    return condition_.WaitFor(&mutex_, patience, [this] { return ready_; });
  }

  absl::Mutex mutex_;
  SteadyCondition condition_;
  bool ready_ = false;
};

TEST_F(SteadyConditionTest, EndsWhenTheTimeIsUp) {
  const absl::Duration begin = Clock::Real()->Now();
  EXPECT_FALSE(WaitFor(kShort));
  EXPECT_GE(Clock::Real()->Now() - begin, kShort);
  EXPECT_FALSE(WaitFor(-kShort));
}

TEST_F(SteadyConditionTest, EndsWhenItIsReady) {
  std::thread other([this] {
    absl::MutexLock lock(&mutex_);
    ready_ = true;
    condition_.NotifyAll();
  });
  EXPECT_TRUE(WaitFor(absl::InfiniteDuration()));
  other.join();
  EXPECT_TRUE(WaitFor(absl::ZeroDuration()));
}

TEST_F(SteadyConditionTest, IsNoLongerForAClockThatIsSetBack) {
  const absl::Time before = absl::Now();
  const WallClockAhead ahead(absl::Hours(2));
  ASSERT_GE(absl::Now() - before, absl::Hours(2));
  EXPECT_FALSE(WaitFor(kShort));
}

}  // namespace
}  // namespace caracal
