// Wilson intervals: known values, edges, groups, and coverage by simulation.
#include "eval/statistics/share.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <vector>

namespace caracal {
namespace {

Interval OfSingles(int right, int answers) {
  std::vector<double> hits(answers), ones(answers, 1.0);
  std::fill(hits.begin(), hits.begin() + right, 1.0);
  return ShareInterval(hits, ones);
}

TEST(ShareIntervalTest, IsWilsons) {
  // From the formula with z = 1.959964: 15 of 20, and the edges.
  const Interval some = OfSingles(15, 20);
  EXPECT_DOUBLE_EQ(some.mean, 0.75);
  EXPECT_NEAR(some.low, 0.53130, 1e-5);
  EXPECT_NEAR(some.high, 0.88814, 1e-5);
  const Interval none = OfSingles(0, 16), all = OfSingles(16, 16);
  EXPECT_EQ(none.low, 0);
  EXPECT_NEAR(none.high, 0.19361, 1e-5);
  EXPECT_NEAR(all.low, 1 - 0.19361, 1e-5);
  EXPECT_EQ(all.high, 1);
}

TEST(ShareIntervalTest, NothingAskedIsNotMeasured) {
  EXPECT_FALSE(ShareInterval({}, {}).measured());
  EXPECT_FALSE(ShareInterval({0.0}, {0.0}).measured());
  const Interval one = OfSingles(1, 1);
  EXPECT_EQ(one.mean, 1);
  EXPECT_LT(one.low, 0.3);
}

TEST(ShareIntervalTest, GroupsThatHangTogetherCountOnce) {
  // Eight groups of four, each all right or all wrong.
  const std::vector<double> fours(8, 4.0);
  const Interval together = ShareInterval({4, 0, 4, 4, 0, 4, 0, 4}, fours);
  const Interval singles = OfSingles(5, 8);
  EXPECT_DOUBLE_EQ(together.mean, singles.mean);
  EXPECT_NEAR(together.low, singles.low, 1e-12);
  EXPECT_NEAR(together.high, singles.high, 1e-12);
  // As even as chance has it, or evener: all answers count.
  const Interval apart = ShareInterval({2, 3, 2, 3, 2, 3, 2, 3}, fours);
  const Interval many = OfSingles(20, 32);
  EXPECT_NEAR(apart.low, many.low, 1e-12);
  EXPECT_NEAR(apart.high, many.high, 1e-12);
}

TEST(ShareIntervalTest, AllRightSaysNothingOfHowGroupsHangTogether) {
  const Interval groups = ShareInterval({4, 4, 4, 4}, {4, 4, 4, 4});
  EXPECT_NEAR(groups.low, OfSingles(4, 4).low, 1e-12);
  // A group without answers is none.
  const Interval more = ShareInterval({4, 4, 0, 4, 4}, {4, 4, 0, 4, 4});
  EXPECT_EQ(groups.low, more.low);
}

TEST(ShareDifferenceTest, IsNewcombes) {
  // Newcombe 1998, table II: 56 of 70 less 48 of 80 is 0.0524 to 0.3339.
  const Interval some = ShareDifference(OfSingles(56, 70), OfSingles(48, 80));
  EXPECT_NEAR(some.mean, 0.2, 1e-12);
  EXPECT_NEAR(some.low, 0.0524, 1e-4);
  EXPECT_NEAR(some.high, 0.3339, 1e-4);
  // None of eleven on both sides still leaves room.
  const Interval none = ShareDifference(OfSingles(0, 11), OfSingles(0, 11));
  EXPECT_EQ(none.mean, 0);
  EXPECT_NEAR(none.high, 0.2588, 1e-4);
  EXPECT_NEAR(none.low, -none.high, 1e-12);
  EXPECT_FALSE(ShareDifference({}, OfSingles(1, 2)).measured());
}

double Uniform(std::mt19937_64& generator) {
  return static_cast<double>(generator() >> 11) * 0x1p-53;
}

// How often the interval holds the share: `groups` groups of `size` answers, a
// share `together` of which repeats the group's first answer.
double Coverage(int groups, int size, double share, double together) {
  std::mt19937_64 generator(17);
  int hits = 0;
  const int trials = 1000;
  for (int trial = 0; trial < trials; ++trial) {
    std::vector<double> right(groups), answers(groups, size);
    for (double& r : right) {
      const bool first = Uniform(generator) < share;
      for (int i = 0; i < size; ++i) {
        r += i == 0 || Uniform(generator) < together
                 ? first
                 : Uniform(generator) < share;
      }
    }
    const Interval interval = ShareInterval(right, answers);
    hits += interval.low <= share && share <= interval.high;
  }
  return static_cast<double>(hits) / trials;
}

// Of a discrete figure coverage jumps about its level: on the average over
// shares it keeps it, and it never falls far below.
TEST(ShareCoverageTest, HoldsForSingleAnswersAndForGroups) {
  struct Case {
    int groups, size;
    double together;
  };
  for (const Case& c :
       {Case{16, 1, 0}, Case{16, 4, 0}, Case{16, 4, 0.7}, Case{16, 4, 1}}) {
    SCOPED_TRACE(testing::Message()
                 << c.groups << " x " << c.size << ", " << c.together);
    double sum = 0, lowest = 1;
    int shares = 0;
    for (double share = 0.05; share < 0.96; share += 0.1, ++shares) {
      const double coverage = Coverage(c.groups, c.size, share, c.together);
      sum += coverage;
      lowest = std::min(lowest, coverage);
    }
    EXPECT_GT(sum / shares, 0.92);
    EXPECT_LT(sum / shares, 0.985);
    EXPECT_GT(lowest, 0.85);
  }
}

// Of the same prompts, asked in two ways: what one way gets the other mostly
// gets too, as components of one student do.
TEST(ShareCoverageTest, OfDifferencesIsAtLeastItsLevel) {
  std::mt19937_64 generator(23);
  for (const double gain : {0.0, 0.2, 0.6}) {
    int hits = 0;
    const int trials = 2000, answers = 16;
    for (int trial = 0; trial < trials; ++trial) {
      int without = 0, with = 0;
      for (int i = 0; i < answers; ++i) {
        const double draw = Uniform(generator);
        without += draw < 0.1;
        with += draw < 0.1 + gain;
      }
      const Interval d = ShareDifference(OfSingles(with, answers),
                                         OfSingles(without, answers));
      hits += d.low <= gain && gain <= d.high;
    }
    EXPECT_GT(static_cast<double>(hits) / trials, 0.93) << gain;
  }
}

}  // namespace
}  // namespace caracal
