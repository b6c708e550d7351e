// Quantiles against values worked out by hand and by NumPy.
#include "eval/statistics/quantile.h"

#include <gtest/gtest.h>

#include <vector>

namespace caracal {
namespace {

TEST(QuantileTest, EndsAreMinimumAndMaximum) {
  const std::vector<double> values = {3, -1, 7, 2};
  EXPECT_EQ(Quantile(values, 0), -1);
  EXPECT_EQ(Quantile(values, 1), 7);
}

TEST(QuantileTest, InterpolatesBetweenOrderStatistics) {
  const std::vector<double> values = {40, 10, 30, 20};
  EXPECT_DOUBLE_EQ(Quantile(values, 0.25), 17.5);
  EXPECT_DOUBLE_EQ(Quantile(values, 0.9), 37);
  EXPECT_DOUBLE_EQ(Median(values), 25);
}

TEST(QuantileTest, OneValueIsEveryQuantile) {
  EXPECT_EQ(Quantile({5}, 0.025), 5);
  EXPECT_EQ(Quantile({5}, 1), 5);
}

TEST(QuantileTest, MedianOfAnOddCountIsTheMiddleOne) {
  EXPECT_EQ(Median({9, 1, 4}), 4);
}

}  // namespace
}  // namespace caracal
