#include "dist/liveness/watch.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/base/fake_clock.h"

namespace caracal {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr absl::Duration kLimit = absl::Seconds(6);
constexpr absl::Duration kTick = absl::Milliseconds(500);

// Ranks 0 to 2 on one machine, 3 and 4 on another.
std::vector<RankProcess> FiveRanks() {
  return {{"a", "a", 10},
          {"a", "a", 11},
          {"a", "a", 12},
          {"b", "b", 10},
          {"b", "b", 11}};
}

class WatchTest : public testing::Test {
 protected:
  Watch Of(int rank) { return Watch(FiveRanks(), rank, kLimit, &clock_); }
  // As time passes: with beats or without. What is found last.
  std::optional<LostRank> Pass(Watch& watch, absl::Duration time, bool beats) {
    std::optional<LostRank> lost;
    for (absl::Duration t; t < time && !lost.has_value(); t += kTick) {
      clock_.Advance(kTick);
      if (beats) watch.Beat();
      lost = watch.Lost();
    }
    return lost;
  }

  FakeClock clock_;
};

TEST_F(WatchTest, SeesTheProcessesOfItsMachine) {
  EXPECT_THAT(Of(1).Neighbours(), ElementsAre(0, 2));
  EXPECT_THAT(Of(4).Neighbours(), ElementsAre(3));
  EXPECT_EQ(Of(1).successor(), 2);
  EXPECT_EQ(Of(4).successor(), 0);
  EXPECT_THAT(
      Watch({{"a", "a", 1}, {"a", "a in a container", 1}}, 0, kLimit, &clock_)
          .Neighbours(),
      IsEmpty());
}

TEST_F(WatchTest, BeatsAreLife) {
  Watch watch = Of(0);
  EXPECT_EQ(Pass(watch, absl::Minutes(10), true), std::nullopt);
}

TEST_F(WatchTest, MissingBeatsAreToldAfterTheLimit) {
  Watch watch = Of(2);
  Pass(watch, absl::Seconds(30), true);
  EXPECT_EQ(Pass(watch, kLimit - kTick, false), std::nullopt);
  const std::optional<LostRank> lost = Pass(watch, kTick, false);
  ASSERT_TRUE(lost.has_value());
  EXPECT_EQ(lost->rank, 3);
  EXPECT_THAT(lost->reason, HasSubstr("for 6s"));
}

// A gang that is stopped as a whole (Ctrl-Z, a suspended job) and goes on.
TEST_F(WatchTest, ARankThatWasStoppedItselfBlamesNobody) {
  Watch watch = Of(2);
  Pass(watch, absl::Seconds(2), true);
  clock_.Advance(absl::Hours(1));
  EXPECT_EQ(watch.Lost(), std::nullopt);
  EXPECT_EQ(Pass(watch, kLimit - kTick, false), std::nullopt);
  EXPECT_TRUE(Pass(watch, kTick, false).has_value());
}

TEST_F(WatchTest, TheLowestRankLeftTellsOfAnEnd) {
  Watch low = Of(0), high = Of(2), elsewhere = Of(3);
  low.Ended(1);
  high.Ended(1);
  ASSERT_TRUE(low.Lost().has_value());
  EXPECT_EQ(low.Lost()->rank, 1);
  EXPECT_THAT(low.Lost()->reason, HasSubstr("process ended"));
  EXPECT_EQ(high.Lost(), std::nullopt);
  EXPECT_EQ(elsewhere.Lost(), std::nullopt);
}

TEST_F(WatchTest, TheNextOneTellsWhereTheLowestIsTheLost) {
  Watch watch = Of(1);
  watch.Ended(0);
  ASSERT_TRUE(watch.Lost().has_value());
  EXPECT_EQ(watch.Lost()->rank, 0);
}

TEST_F(WatchTest, OfSeveralEndsTheFirstIsTold) {
  Watch watch = Of(2);
  watch.Ended(1);
  EXPECT_EQ(watch.Lost(), std::nullopt);  // That is for rank 0.
  watch.Ended(0);
  ASSERT_TRUE(watch.Lost().has_value());
  EXPECT_EQ(watch.Lost()->rank, 1);
}

// Ranks that are killed because the gang ends elsewhere die one by one.
TEST_F(WatchTest, EndsAreExpectedWhereRanksWereAskedToStop) {
  Watch watch = Of(1);
  watch.Stopping();
  watch.Ended(0);
  EXPECT_EQ(watch.Lost(), std::nullopt);
  clock_.Advance(absl::Milliseconds(499));
  EXPECT_EQ(watch.Lost(), std::nullopt);
  clock_.Advance(absl::Milliseconds(1));
  EXPECT_TRUE(watch.Lost().has_value());
}

// mpirun asks the others to stop because one died: that one is told of.
TEST_F(WatchTest, AnEndBeforeThatIsToldAtOnce) {
  Watch watch = Of(1);
  watch.Ended(0);
  watch.Stopping();
  EXPECT_TRUE(watch.Lost().has_value());
}

TEST_F(WatchTest, TheEndOfTheSuccessorIsNotToldAsSilence) {
  Watch watch = Of(1);
  watch.Ended(2);
  EXPECT_EQ(Pass(watch, 2 * kLimit, false), std::nullopt);  // That is for 0.
}

}  // namespace
}  // namespace caracal
