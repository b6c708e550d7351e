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

TEST(StallWatchTest, IsSilentAboutWhatEnds) {
  std::atomic<int> calls{0};
  {
    StallWatch watch(absl::Hours(1), [&] { ++calls; });
    for (int i = 0; i < 1000; ++i) {
      watch.Begin();
      watch.End();
    }
    watch.Begin();
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
