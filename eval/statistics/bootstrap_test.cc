// The bootstrap: determinism, pairing, edge cases, and the coverage that its
// label promises, by simulation.
#include "eval/statistics/bootstrap.h"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <limits>
#include <random>
#include <tuple>
#include <utility>
#include <vector>

namespace caracal {
namespace {

TEST(BootstrapMeanTest, SameSeedSameBitsOtherSeedOtherBits) {
  const std::vector<double> values = {3.1, 2.7, 4.4, 3.9, 2.2, 5.0, 3.3};
  const Interval first = BootstrapMean(values);
  const Interval second = BootstrapMean(values);
  EXPECT_EQ(first.low, second.low);
  EXPECT_EQ(first.high, second.high);
  const Interval other = BootstrapMean(values, {.seed = 1});
  EXPECT_EQ(first.mean, other.mean);
  EXPECT_TRUE(first.low != other.low || first.high != other.high);
}

TEST(BootstrapMeanTest, IntervalSurroundsTheMeanInsideTheRange) {
  const std::vector<double> values = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10};
  const Interval interval = BootstrapMean(values);
  EXPECT_DOUBLE_EQ(interval.mean, 5.5);
  // Student's interval of these values is 5.5 +- 2.262 x 0.957 = 2.166.
  EXPECT_NEAR(interval.low, 5.5 - 2.166, 0.15);
  EXPECT_NEAR(interval.high, 5.5 + 2.166, 0.15);
}

TEST(BootstrapMeanTest, EqualValuesGiveAPoint) {
  const Interval interval = BootstrapMean({2.5, 2.5, 2.5, 2.5});
  EXPECT_EQ(interval.low, 2.5);
  EXPECT_EQ(interval.high, 2.5);
}

TEST(BootstrapMeanTest, OneRowHasAMeanAndNoInterval) {
  const Interval interval = BootstrapMean({2.5});
  EXPECT_EQ(interval.mean, 2.5);
  EXPECT_TRUE(interval.measured());
  EXPECT_FALSE(interval.bounded());
  EXPECT_FALSE(interval.excludes_zero());
}

TEST(BootstrapMeanTest, NothingOrNonFiniteIsNotMeasured) {
  EXPECT_FALSE(BootstrapMean({}).measured());
  const double nan = std::numeric_limits<double>::quiet_NaN();
  EXPECT_FALSE(BootstrapMean({1, nan, 2}).measured());
  EXPECT_FALSE(BootstrapMean({1, nan, 2}).excludes_zero());
}

TEST(BootstrapMeanTest, HigherLevelIsWider) {
  const std::vector<double> values = {3.1, 2.7, 4.4, 3.9, 2.2, 5.0, 3.3};
  const Interval narrow = BootstrapMean(values, {.level = 0.5});
  const Interval wide = BootstrapMean(values, {.level = 0.99});
  EXPECT_LT(wide.low, narrow.low);
  EXPECT_GT(wide.high, narrow.high);
}

TEST(BootstrapDifferenceTest, PairingCancelsWhatRowsShare) {
  // Rows differ by whole nats, the two modes by a steady 0.03.
  std::vector<double> a, b;
  for (int row = 0; row < 16; ++row) {
    b.push_back(2.0 + row);
    a.push_back(b.back() + 0.03 + 0.001 * (row % 3 - 1));
  }
  const std::vector<double> weights(a.size(), 512);
  const Interval difference = BootstrapDifference(a, b, weights);
  EXPECT_NEAR(difference.mean, 0.03, 1e-3);
  EXPECT_TRUE(difference.above_zero());
  EXPECT_LT(difference.high - difference.low, 0.002);
  const Interval reverse = BootstrapDifference(b, a, weights);
  EXPECT_DOUBLE_EQ(reverse.mean, -difference.mean);
  EXPECT_TRUE(reverse.below_zero());
}

TEST(BootstrapWeightedMeanTest, IsTheRatioOfTheSumsOfAllRows) {
  const std::vector<double> values = {1, 5, 2, 4, 3};
  const std::vector<double> weights = {512, 16, 512, 32, 256};
  const Interval interval = BootstrapWeightedMean(values, weights);
  EXPECT_DOUBLE_EQ(interval.mean, (512 + 80 + 1024 + 128 + 768) / 1328.0);
  EXPECT_LT(interval.low, interval.mean);
  EXPECT_GT(interval.high, interval.mean);
  // Rows of a hundredth of the tokens hardly count.
  EXPECT_LT(interval.mean, BootstrapMean(values).mean - 0.5);
}

TEST(BootstrapWeightedMeanTest, EqualWeightsChangeNothing) {
  const std::vector<double> values = {3.1, 2.7, 4.4, 3.9, 2.2, 5.0, 3.3};
  const Interval plain = BootstrapMean(values);
  const Interval weighted =
      BootstrapWeightedMean(values, std::vector<double>(7, 512));
  EXPECT_DOUBLE_EQ(weighted.mean, plain.mean);
  EXPECT_DOUBLE_EQ(weighted.low, plain.low);
  EXPECT_DOUBLE_EQ(weighted.high, plain.high);
}

TEST(BootstrapWeightedMeanTest, OneHeavyRowStillHasAnInterval) {
  const Interval interval =
      BootstrapWeightedMean({1, 2, 3}, {1e6, 1, 1}, {.resamples = 1000});
  EXPECT_NEAR(interval.mean, 1, 1e-5);
  EXPECT_TRUE(interval.bounded());
  EXPECT_GE(interval.high, interval.low);
}

// How often a 95% interval of n draws holds the true mean.
double Coverage(size_t n, double truth,
                const std::function<double(std::mt19937_64&)>& draw) {
  std::mt19937_64 generator(7);
  int hits = 0;
  const int trials = 500;
  for (int trial = 0; trial < trials; ++trial) {
    std::vector<double> values(n);
    for (double& value : values) value = draw(generator);
    const Interval interval = BootstrapMean(
        values, {.seed = static_cast<uint64_t>(trial), .resamples = 1000});
    hits += interval.low <= truth && truth <= interval.high;
  }
  return static_cast<double>(hits) / trials;
}

// Four standard errors of a share of 0.95 over 500 trials.
constexpr double kFourErrors = 4 * 0.0098;

double Normal(std::mt19937_64& generator) {
  // Sum of twelve uniforms: exact mean 0, near enough normal.
  double sum = -6;
  for (int i = 0; i < 12; ++i) {
    sum += static_cast<double>(generator() >> 11) * 0x1p-53;
  }
  return sum;
}

TEST(BootstrapCoverageTest, HoldsForSmallAndLargerSamples) {
  EXPECT_NEAR(Coverage(8, 0, Normal), 0.95, kFourErrors);
  EXPECT_NEAR(Coverage(16, 0, Normal), 0.95, kFourErrors);
  EXPECT_NEAR(Coverage(64, 0, Normal), 0.95, kFourErrors);
}

TEST(BootstrapCoverageTest, SkewedRowsLoseLittle) {
  const auto exponential = [](std::mt19937_64& generator) {
    return -std::log1p(-static_cast<double>(generator() >> 11) * 0x1p-53);
  };
  const double coverage = Coverage(64, 1, exponential);
  EXPECT_GT(coverage, 0.90);
  EXPECT_LT(coverage, 0.98);
}

// Rows as instruction data has them: half of them short and hard. The truth
// is the loss per token, which is not the mean over rows.
struct UnequalRows {
  static constexpr double kShort = 64, kLong = 448;
  static constexpr double kHard = 3, kEasy = 2;
  static constexpr double kTruth =
      (kShort * kHard + kLong * kEasy) / (kShort + kLong);

  // Loss and scored tokens of a row.
  static std::pair<double, double> Draw(std::mt19937_64& generator) {
    const bool is_short = generator() >> 63;
    const double noise = 0.5 * Normal(generator);
    return is_short ? std::pair(kHard + noise, kShort)
                    : std::pair(kEasy + noise, kLong);
  }
};

double UnequalCoverage(size_t n, bool weighted) {
  std::mt19937_64 generator(7);
  int hits = 0;
  const int trials = 500;
  for (int trial = 0; trial < trials; ++trial) {
    std::vector<double> values(n), weights(n);
    for (size_t i = 0; i < n; ++i) {
      std::tie(values[i], weights[i]) = UnequalRows::Draw(generator);
    }
    if (!weighted) weights.assign(n, 1);
    const Interval interval = BootstrapWeightedMean(
        values, weights,
        {.seed = static_cast<uint64_t>(trial), .resamples = 1000});
    hits += interval.low <= UnequalRows::kTruth &&
            UnequalRows::kTruth <= interval.high;
  }
  return static_cast<double>(hits) / trials;
}

TEST(BootstrapCoverageTest, HoldsForRowsOfUnequalTokens) {
  EXPECT_NEAR(UnequalCoverage(16, true), 0.95, kFourErrors);
  EXPECT_NEAR(UnequalCoverage(64, true), 0.95, kFourErrors);
  // Intervals of the mean over rows are about another number.
  EXPECT_LT(UnequalCoverage(64, false), 0.5);
}

TEST(BootstrapRatioTest, OfProportionalRowsIsExact) {
  const std::vector<double> b = {1, 5, 2, 8, 4, 4},
                            weights = {1, 2, 1, 3, 1, 1};
  std::vector<double> a;
  for (const double x : b) a.push_back(0.25 * x);
  const Interval r = BootstrapRatio(a, b, weights);
  EXPECT_DOUBLE_EQ(r.mean, 0.25);
  EXPECT_DOUBLE_EQ(r.low, 0.25);
  EXPECT_DOUBLE_EQ(r.high, 0.25);
}

TEST(BootstrapRatioTest, ByTheWeightsThemselvesIsTheWeightedMean) {
  const std::vector<double> a = {3, 1, 4, 1, 5, 9, 2, 6}, ones(8, 1.0);
  const Interval ratio = BootstrapRatio(a, ones, ones);
  const Interval mean = BootstrapWeightedMean(a, ones);
  EXPECT_EQ(ratio.mean, mean.mean);
  EXPECT_EQ(ratio.low, mean.low);
  EXPECT_EQ(ratio.high, mean.high);
}

TEST(BootstrapRatioTest, ToWhatMayBeNothingHasNoInterval) {
  const std::vector<double> a = {1, 2, 3, 4}, ones(4, 1.0);
  const Interval some =
      BootstrapRatio(a, std::vector<double>{3, -1, 2, -1}, ones);
  EXPECT_TRUE(some.measured());
  EXPECT_FALSE(some.bounded());
  EXPECT_FALSE(
      BootstrapRatio(a, std::vector<double>{1, -1, 1, -2}, ones).measured());
  EXPECT_FALSE(BootstrapRatio({}, {}, {}).measured());
}

}  // namespace
}  // namespace caracal
