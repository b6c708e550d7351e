#include "core/device/stall_watch.h"

#include <gtest/gtest.h>

#include <atomic>

#include "core/base/steady_condition.h"

namespace caracal {
namespace {

TEST(StallWatchTest, TellsOnceOfWhatDoesNotEnd) {
  std::atomic<int> calls{0};
  SteadyNotification told;
  {
    StallWatch watch(absl::Milliseconds(1), [&] {
      ++calls;
      told.Notify();
    });
    watch.Begin();
    EXPECT_TRUE(told.WaitFor(absl::InfiniteDuration()));
    watch.Begin();
  }
  EXPECT_EQ(calls, 1);
}

// Until something begins again, which wakes it.
TEST(StallWatchTest, IsSilentAboutWhatEnded) {
  std::atomic<int> calls{0};
  SteadyNotification told, told_later;
  StallWatch watch(absl::Milliseconds(300), [&] {
    ++calls;
    told.Notify();
  });
  watch.Begin();
  watch.End();
  StallWatch later(absl::Milliseconds(400), [&] { told_later.Notify(); });
  later.Begin();
  EXPECT_TRUE(told_later.WaitFor(absl::InfiniteDuration()));
  EXPECT_EQ(calls, 0);
  watch.Begin();
  EXPECT_TRUE(told.WaitFor(absl::InfiniteDuration()));
}

TEST(StallWatchTest, IsSilentWhereNothingIsLate) {
  std::atomic<int> calls{0};
  {
    StallWatch watch(absl::Hours(1), [&] { ++calls; });
    for (int i = 0; i < 1000; ++i) watch.Begin();
  }
  {
    StallWatch unused(absl::ZeroDuration(), [&] { ++calls; });
  }
  {
    StallWatch endless(absl::InfiniteDuration(), [&] { ++calls; });
    endless.Begin();
  }
  EXPECT_EQ(calls, 0);
}

}  // namespace
}  // namespace caracal
