// Seeds and rows: what they come to without one another, and coverage.
#include "eval/statistics/seeds.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <vector>

#include "eval/statistics/distribution.h"

namespace caracal {
namespace {

const std::vector<double> kOnes(6, 1.0);
const std::vector<double> kRow = {3, 1, 4, 1, 5, 9};

TEST(StudentUpperQuantileTest, OfFewDegreesOfFreedom) {
  // Tables of Student's t, upper tail 0.025.
  EXPECT_NEAR(StudentUpperQuantile(0.025, 1), 12.706, 1e-3);
  EXPECT_NEAR(StudentUpperQuantile(0.025, 2), 4.3027, 1e-4);
  EXPECT_NEAR(StudentUpperQuantile(0.025, 3), 3.1824, 0.03);
  EXPECT_NEAR(StudentUpperQuantile(0.025, 10), 2.2281, 1e-3);
}

TEST(SeedsMeanTest, OneSeedIsTheBootstrapOverRows) {
  const Interval one = SeedsMean({kRow}, kOnes);
  const Interval rows = BootstrapWeightedMean(kRow, kOnes);
  EXPECT_EQ(one.mean, rows.mean);
  EXPECT_EQ(one.low, rows.low);
  EXPECT_EQ(one.high, rows.high);
  EXPECT_FALSE(SeedsMean({}, kOnes).measured());
}

TEST(SeedsMeanTest, SeedsThatAgreeChangeNothing) {
  const Interval three = SeedsMean({kRow, kRow, kRow}, kOnes);
  const Interval rows = BootstrapWeightedMean(kRow, kOnes);
  EXPECT_NEAR(three.mean, rows.mean, 1e-12);
  EXPECT_NEAR(three.low, rows.low, 1e-12);
  EXPECT_NEAR(three.high, rows.high, 1e-12);
}

TEST(SeedsMeanTest, RowsThatAgreeLeaveStudentsInterval) {
  const std::vector<double> low(6, 2.0), high(6, 3.0);
  const Interval two = SeedsMean({low, high}, kOnes);
  EXPECT_DOUBLE_EQ(two.mean, 2.5);
  EXPECT_NEAR(two.low, 2.5 - 12.706 * 0.5, 1e-3);
  EXPECT_NEAR(two.high, 2.5 + 12.706 * 0.5, 1e-3);
  const Interval four = SeedsMean({low, high, low, high}, kOnes);
  EXPECT_NEAR(four.high, 2.5 + 3.18 * std::sqrt(1 / 3.0 / 4), 0.02);
}

TEST(SeedsMeanTest, WeightsAreThoseOfRows) {
  const std::vector<double> weights = {100, 1, 1, 1, 1, 1};
  std::vector<double> other = kRow;
  other[0] += 1;
  const Interval mean = SeedsMean({kRow, other}, weights);
  EXPECT_NEAR(mean.mean, (100 * 3.5 + 20) / 105, 1e-12);
}

TEST(SeedsDifferenceTest, AddsWhatBothSidesSeedsVaryBy) {
  const std::vector<double> low(6, 2.0), high(6, 3.0), far(6, 7.0);
  // One seed on the other side: nothing is known of its seeds.
  const Interval one = SeedsDifference({low, high}, {far}, kOnes);
  EXPECT_DOUBLE_EQ(one.mean, -4.5);
  EXPECT_NEAR(one.high, -4.5 + 12.706 * 0.5, 1e-3);
  const Interval both = SeedsDifference({low, high}, {low, high, high}, kOnes);
  const double first = 12.706 * 0.5, second = 4.3027 * std::sqrt(1 / 9.0);
  EXPECT_NEAR(both.high - both.mean, std::hypot(first, second), 1e-3);
  // Rows are paired: what they share drops out.
  std::vector<double> more = kRow;
  for (double& value : more) value += 0.25;
  const Interval paired = SeedsDifference({more}, {kRow}, kOnes);
  EXPECT_DOUBLE_EQ(paired.low, 0.25);
  EXPECT_DOUBLE_EQ(paired.high, 0.25);
}

TEST(SeedsRatioTest, IsTheRatioOfTheMeans) {
  std::vector<double> half;
  for (const double x : kRow) half.push_back(x / 2);
  const Interval same = SeedsRatio({half, half}, {kRow, kRow}, kOnes);
  EXPECT_DOUBLE_EQ(same.mean, 0.5);
  EXPECT_DOUBLE_EQ(same.low, 0.5);
  const Interval apart = SeedsRatio({half, kRow}, {kRow, kRow}, kOnes);
  EXPECT_DOUBLE_EQ(apart.mean, 0.75);
  EXPECT_NEAR(apart.high, 0.75 + 12.706 * 0.25, 1e-3);
}

double Normal(std::mt19937_64& generator) {
  // Sum of twelve uniforms: exact mean 0, near enough normal.
  double sum = -6;
  for (int i = 0; i < 12; ++i) {
    sum += static_cast<double>(generator() >> 11) * 0x1p-53;
  }
  return sum;
}

// How often the interval holds the true mean, 0, where seeds, rows and the two
// together vary by so much; with `rows_only` that of rows alone.
double Coverage(int seeds, double by_seed, double by_row, double by_both,
                bool rows_only) {
  constexpr int kRows = 16, kTrials = 400;
  std::mt19937_64 generator(11);
  const std::vector<double> weights(kRows, 1.0);
  int hits = 0;
  for (int trial = 0; trial < kTrials; ++trial) {
    std::vector<double> of_row(kRows);
    for (double& value : of_row) value = by_row * Normal(generator);
    SeedsAndRows values;
    for (int s = 0; s < seeds; ++s) {
      const double of_seed = by_seed * Normal(generator);
      values.emplace_back();
      for (const double row : of_row) {
        values.back().push_back(of_seed + row + by_both * Normal(generator));
      }
    }
    const BootstrapOptions options = {.seed = static_cast<uint64_t>(trial),
                                      .resamples = 400};
    SeedsAndRows pooled = values;
    if (rows_only) {
      // The mean over seeds as if it were one seed's.
      for (int i = 0; i < kRows; ++i) {
        double mean = 0;
        for (const auto& rows : values) mean += rows[i] / seeds;
        pooled[0][i] = mean;
      }
      pooled.resize(1);
    }
    const Interval interval = SeedsMean(pooled, weights, options);
    hits += interval.low <= 0 && 0 <= interval.high;
  }
  return static_cast<double>(hits) / kTrials;
}

TEST(SeedsCoverageTest, HoldsWhateverVaries) {
  // Four standard errors of a share of 0.95 over 400 trials are 0.044.
  for (const int seeds : {2, 3, 5}) {
    SCOPED_TRACE(testing::Message() << seeds << " seeds");
    EXPECT_NEAR(Coverage(seeds, 1, 0.01, 0.01, false), 0.95, 0.044);
    EXPECT_GT(Coverage(seeds, 0.3, 1, 0.3, false), 0.93);
    EXPECT_GT(Coverage(seeds, 0, 1, 0.3, false), 0.93);
    EXPECT_GT(Coverage(seeds, 0.1, 0.1, 1, false), 0.93);
    EXPECT_GT(Coverage(seeds, 1, 1, 1, false), 0.93);
  }
}

TEST(SeedsCoverageTest, RowsAloneKnowNothingOfSeeds) {
  EXPECT_LT(Coverage(2, 1, 1, 0.3, true), 0.6);
}

}  // namespace
}  // namespace caracal
