#include "jobs/coordinator/access/rate_limit.h"

#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "core/base/fake_clock.h"

namespace caracal {
namespace {

TEST(RateLimit, ABurstThenASteadyRateForEachCaller) {
  FakeClock clock;
  RateLimit limit(10, &clock);
  for (int i = 0; i < 20; ++i) {
    EXPECT_EQ(limit.Take("ann"), absl::ZeroDuration()) << i;
  }
  EXPECT_EQ(limit.Take("ann"), absl::Milliseconds(100));
  EXPECT_EQ(limit.Take("bob"), absl::ZeroDuration());
  // After what it said, one more, and only one.
  clock.Advance(absl::Milliseconds(100));
  EXPECT_EQ(limit.Take("ann"), absl::ZeroDuration());
  EXPECT_GT(limit.Take("ann"), absl::ZeroDuration());
  int taken = 0;
  for (int i = 0; i < 1000; ++i) {
    clock.Advance(absl::Milliseconds(10));
    taken += limit.Take("ann") == absl::ZeroDuration();
  }
  EXPECT_EQ(taken, 100);
}

TEST(RateLimit, NoneAndSlowerThanOneASecond) {
  FakeClock clock;
  RateLimit none(0, &clock);
  for (int i = 0; i < 100; ++i) {
    EXPECT_EQ(none.Take("ann"), absl::ZeroDuration());
  }
  RateLimit slow(0.1, &clock);
  EXPECT_EQ(slow.Take("ann"), absl::ZeroDuration());
  EXPECT_EQ(slow.Take("ann"), absl::Seconds(10));
}

TEST(RateLimit, CallersThatAreForgottenWereFull) {
  FakeClock clock;
  RateLimit limit(1, &clock);
  EXPECT_EQ(limit.Take("ann"), absl::ZeroDuration());
  EXPECT_EQ(limit.Take("ann"), absl::ZeroDuration());
  for (int i = 0; i < 5000; ++i) limit.Take(absl::StrCat("other ", i));
  EXPECT_GT(limit.Take("ann"), absl::ZeroDuration());
}

}  // namespace
}  // namespace caracal
