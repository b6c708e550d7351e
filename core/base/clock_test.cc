#include "core/base/clock.h"

#include <gtest/gtest.h>

#include "core/base/fake_clock.h"

namespace caracal {
namespace {

TEST(ClockTest, RealTimeNeverGoesBack) {
  Clock* clock = Clock::Real();
  absl::Duration last = clock->Now();
  for (int i = 0; i < 1000; ++i) {
    const absl::Duration now = clock->Now();
    ASSERT_GE(now, last);
    last = now;
  }
  // The date is past the year this was written in.
  EXPECT_GT(clock->WallTime(), absl::FromUnixSeconds(1700000000));
}

TEST(ClockTest, FakeTimeStandsStillUntilMoved) {
  FakeClock clock;
  EXPECT_EQ(clock.Now(), absl::ZeroDuration());
  const absl::Time start = clock.WallTime();
  clock.Advance(absl::Seconds(3));
  EXPECT_EQ(clock.Now(), absl::Seconds(3));
  EXPECT_EQ(clock.WallTime() - start, absl::Seconds(3));
}

TEST(ClockTest, JumpOfTheDateLeavesDurationsAlone) {
  FakeClock clock;
  clock.Advance(absl::Seconds(1));
  clock.SetWallTime(absl::UnixEpoch());
  EXPECT_EQ(clock.Now(), absl::Seconds(1));
  EXPECT_EQ(clock.WallTime(), absl::UnixEpoch());
}

}  // namespace
}  // namespace caracal
