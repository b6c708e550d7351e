#include "jobs/evaluator/lease_keeper.h"

#include <gtest/gtest.h>

#include "absl/time/clock.h"

namespace caracal {
namespace {

// Until it is so; ten seconds at most.
template <typename F>
bool Eventually(F is_so) {
  for (int i = 0; i < 1000 && !is_so(); ++i) {
    absl::SleepFor(absl::Milliseconds(10));
  }
  return is_so();
}

TEST(LeaseKeeper, RenewsUntilItEnds) {
  std::atomic<int> renewed{0};
  std::atomic<bool> stop{false}, lost{false};
  LeaseKeeper keeper({.lease = absl::Milliseconds(30),
                      .renew =
                          [&] {
                            // One failure is no loss.
                            return ++renewed == 2
                                       ? absl::UnavailableError("away")
                                       : absl::OkStatus();
                          },
                      .give_back = [] { return absl::OkStatus(); },
                      .stop = &stop,
                      .lost = &lost});
  EXPECT_TRUE(Eventually([&] { return renewed >= 4; }));
  keeper.End();
  const int before = renewed;
  keeper.End();
  EXPECT_EQ(renewed, before);
  EXPECT_FALSE(lost);
}

TEST(LeaseKeeper, TellsWhenTheLeaseIsSomebodyElses) {
  for (const absl::Status& answer :
       {absl::AbortedError("late"), absl::NotFoundError("gone")}) {
    std::atomic<bool> lost{false};
    LeaseKeeper keeper({.lease = absl::Milliseconds(30),
                        .renew = [&] { return answer; },
                        .give_back = [] { return absl::OkStatus(); },
                        .lost = &lost});
    EXPECT_TRUE(Eventually([&] { return lost.load(); }));
  }
}

TEST(LeaseKeeper, GivesItBackWhenItIsToStop) {
  std::atomic<bool> stop{false}, lost{false};
  std::atomic<int> given{0};
  LeaseKeeper keeper({.lease = absl::Hours(1),
                      .renew = [] { return absl::OkStatus(); },
                      .give_back =
                          [&] {
                            ++given;
                            return absl::UnavailableError("away");
                          },
                      .stop = &stop,
                      .lost = &lost});
  stop = true;
  EXPECT_TRUE(Eventually([&] { return given > 0; }));
  keeper.End();
  EXPECT_TRUE(lost);
  EXPECT_EQ(given, 1);
}

}  // namespace
}  // namespace caracal
