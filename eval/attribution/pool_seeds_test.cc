// Several seeds as one result: means, pairing and what the intervals are over.
#include "eval/attribution/pool_seeds.h"

#include <gtest/gtest.h>

#include <vector>

#include "eval/attribution/result_intervals.h"
#include "eval/statistics/seeds.h"

namespace caracal {
namespace {

// A run whose students lost so much more than `rows` on every row.
AttributionResult SeedRun(const char* seed, double hybrid, double swa_only) {
  const std::vector<double> rows = {2.0, 3.1, 2.5, 4.0, 2.2, 3.3, 2.9, 2.6};
  AttributionResult result;
  result.settings.seed = seed;
  result.settings.rows = 8;
  result.reach = 0.75;
  const auto mode = [&](const char* name, double more) {
    ModeResult m;
    m.mode = name;
    m.second_half = m.loss = 2.825 + more;
    for (size_t i = 0; i < rows.size(); ++i) {
      m.per_row.push_back(rows[i] + more * (0.9 + 0.2 * (i % 2)));
    }
    return m;
  };
  result.modes = {mode("teacher", 0), mode("teacher_swa", 0.5),
                  mode("hybrid", hybrid), mode("swa_only", swa_only)};
  result.baselines = {mode("teacher_swa_s4", 0.4)};
  FillIntervals(result);
  return result;
}

TEST(PoolSeedsTest, OneRunIsItself) {
  const AttributionResult run = SeedRun("7", 0.1, 0.3);
  const AttributionResult pooled = PoolSeeds({&run});
  EXPECT_EQ(pooled.settings.seed, "7");
  EXPECT_EQ(pooled.what_la_brings.low, run.what_la_brings.low);
  EXPECT_TRUE(pooled.Find("hybrid")->per_seed.empty());
}

TEST(PoolSeedsTest, MeansOverSeedsRowByRow) {
  const AttributionResult a = SeedRun("1", 0.1, 0.3),
                          b = SeedRun("2", 0.2, 0.3);
  const AttributionResult pooled = PoolSeeds({&a, &b});
  EXPECT_EQ(pooled.settings.seed, "1, 2");
  EXPECT_EQ(pooled.reach, 0.75);
  const ModeResult* hybrid = pooled.Find("hybrid");
  ASSERT_NE(hybrid, nullptr);
  EXPECT_NEAR(hybrid->loss, 2.825 + 0.15, 1e-12);
  EXPECT_NEAR(hybrid->per_row[0], 2 + 0.15 * 0.9, 1e-12);
  ASSERT_EQ(hybrid->per_seed.size(), 2);
  EXPECT_NEAR(pooled.what_la_brings.mean,
              (a.what_la_brings.mean + b.what_la_brings.mean) / 2, 1e-12);
  // What no seed touches has the interval it had.
  EXPECT_NEAR(pooled.ustar.low, a.ustar.low, 1e-12);
  EXPECT_NEAR(pooled.Find("teacher")->interval.high,
              a.Find("teacher")->interval.high, 1e-12);
  ASSERT_NE(pooled.Find("teacher_swa_s4"), nullptr);
}

TEST(PoolSeedsTest, IntervalsAreOverSeedsToo) {
  const AttributionResult a = SeedRun("1", 0.1, 0.3),
                          b = SeedRun("2", 0.2, 0.3);
  const AttributionResult pooled = PoolSeeds({&a, &b});
  // u is 0.2 with one seed and 0.1 with the other.
  EXPECT_TRUE(a.what_la_brings.above_zero());
  EXPECT_TRUE(b.what_la_brings.above_zero());
  EXPECT_FALSE(pooled.what_la_brings.above_zero());
  EXPECT_GT(pooled.what_la_brings.high - pooled.what_la_brings.mean,
            12.7 * 0.05);
  const Interval r = UseRatio(pooled);
  EXPECT_NEAR(r.mean, 0.15 / 0.5, 1e-9);
  EXPECT_GT(r.high - r.mean, 12.7 * 0.1);
}

TEST(PoolSeedsTest, DifferencesWithinAResultArePairedBySeed) {
  // Both modes are worse with the second seed: their difference is not.
  const AttributionResult a = SeedRun("1", 0.1, 0.3),
                          b = SeedRun("2", 0.9, 1.1);
  const AttributionResult pooled = PoolSeeds({&a, &b});
  EXPECT_NEAR(pooled.what_la_brings.mean, 0.2, 1e-12);
  EXPECT_TRUE(pooled.what_la_brings.above_zero());
  EXPECT_FALSE(LossDifference(pooled.Find("hybrid"), pooled.Find("teacher"))
                   .above_zero());
}

TEST(PoolSeedsTest, UnlikeNumbersOfSeedsAreNotPaired) {
  const AttributionResult a = SeedRun("1", 0.1, 0.3),
                          b = SeedRun("2", 0.2, 0.3),
                          c = SeedRun("3", 0.15, 0.3);
  const AttributionResult two = PoolSeeds({&a, &b}),
                          three = PoolSeeds({&a, &b, &c});
  const Interval difference =
      LossDifference(two.Find("hybrid"), three.Find("hybrid"));
  EXPECT_NEAR(difference.mean, 0, 1e-12);
  EXPECT_GT(difference.high, 12.7 * 0.05);
  const Interval one = LossDifference(two.Find("hybrid"), a.Find("hybrid"));
  EXPECT_NEAR(one.mean, 0.05, 1e-12);
  EXPECT_GT(one.high, 12.7 * 0.05);
}

TEST(PoolSeedsTest, ModesThatOneRunLacksAreLeftOut) {
  const AttributionResult a = SeedRun("1", 0.1, 0.3);
  AttributionResult b = SeedRun("2", 0.2, 0.3);
  b.modes.pop_back();
  b.modes[0].per_row.pop_back();
  const AttributionResult pooled = PoolSeeds({&a, &b});
  EXPECT_EQ(pooled.Find("swa_only"), nullptr);
  EXPECT_EQ(pooled.Find("teacher"), nullptr);
  EXPECT_NE(pooled.Find("hybrid"), nullptr);
  EXPECT_FALSE(pooled.what_la_brings.measured());
}

}  // namespace
}  // namespace caracal
