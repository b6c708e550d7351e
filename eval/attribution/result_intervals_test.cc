// Intervals derived from the losses of each row, and their signs.
#include "eval/attribution/result_intervals.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

namespace caracal {
namespace {

AttributionResult Rows() {
  AttributionResult result;
  result.modes = {{"teacher", 3.0, {2.0, 3.0, 4.0, 3.0}, 0, {}, {}},
                  {"teacher_swa", 3.5, {2.5, 3.5, 4.5, 3.5}, 0, {}, {}},
                  {"hybrid", 3.1, {2.1, 3.1, 4.1, 3.1}, 0, {}, {}},
                  {"swa_only", 3.3, {2.3, 3.3, 4.3, 3.3}, 0, {}, {}}};
  result.baselines = {{"teacher_swa_s0", 4.0, {3.0, 4.0, 5.0, 4.0}, 0, {}, {}}};
  return result;
}

TEST(FillIntervalsTest, WhatLaBringsIsPositiveWhenRemovingItCosts) {
  AttributionResult result = Rows();
  FillIntervals(result);
  EXPECT_NEAR(result.what_la_brings.mean, 0.2, 1e-12);
  EXPECT_TRUE(result.what_la_brings.above_zero());
  EXPECT_NEAR(result.ustar.mean, 0.5, 1e-12);
  ASSERT_EQ(result.drop.size(), 1);
  EXPECT_EQ(result.drop[0].component, "la");
  EXPECT_EQ(result.drop[0].drop.mean, result.what_la_brings.mean);
}

TEST(UseRatioTest, IsUOverUstar) {
  AttributionResult result = Rows();
  FillIntervals(result);
  EXPECT_NEAR(UseRatio(result).mean, 0.4, 1e-9);
  EXPECT_NEAR(UseRatio(result).low, 0.4, 1e-9);
  result.ustar = {0.5, -0.1, 1.1};
  EXPECT_FALSE(UseRatio(result).measured());
  result.modes.erase(result.modes.begin());
  EXPECT_FALSE(UseRatio(result).measured());
}

TEST(FillIntervalsTest, EveryModeAndBaselineGetsAnInterval) {
  AttributionResult result = Rows();
  FillIntervals(result);
  for (const auto* list : {&result.modes, &result.baselines}) {
    for (const ModeResult& mode : *list) {
      EXPECT_TRUE(mode.interval.bounded()) << mode.mode;
      EXPECT_DOUBLE_EQ(mode.interval.mean, mode.loss) << mode.mode;
    }
  }
}

TEST(FillIntervalsTest, KeepsOtherDropsAndDoesNotRepeatItself) {
  AttributionResult result = Rows();
  result.drop = {{"swa", {1, 0.5, 1.5}}};
  FillIntervals(result);
  FillIntervals(result);
  ASSERT_EQ(result.drop.size(), 2);
  EXPECT_EQ(result.drop[0].component, "la");
  EXPECT_EQ(result.drop[1].component, "swa");
  EXPECT_EQ(result.drop[1].drop.mean, 1);
}

TEST(FillIntervalsTest, MissingModesAreNotMeasured) {
  AttributionResult result = Rows();
  result.modes.resize(2);
  FillIntervals(result);
  EXPECT_FALSE(result.what_la_brings.measured());
  EXPECT_TRUE(result.drop.empty());
}

TEST(FillIntervalsTest, RowsWeighTheirScoredTokensAsLossesDo) {
  AttributionResult result = Rows();
  const std::vector<double> tokens = {10, 480, 30, 200};
  for (ModeResult& mode : result.modes) {
    double sum = 0, count = 0;
    for (size_t i = 0; i < tokens.size(); ++i) {
      sum += tokens[i] * mode.per_row[i];
      count += tokens[i];
    }
    mode.loss = sum / count;
    mode.row_tokens = tokens;
  }
  // The linear part brings much on the row of 10 tokens, little elsewhere.
  result.modes[3].per_row[0] = result.modes[2].per_row[0] + 1;
  FillIntervals(result);
  for (size_t i = 0; i < 3; ++i) {
    const ModeResult& mode = result.modes[i];
    EXPECT_DOUBLE_EQ(mode.interval.mean, mode.loss) << mode.mode;
    EXPECT_LT(mode.interval.low, mode.loss) << mode.mode;
    EXPECT_GT(mode.interval.high, mode.loss) << mode.mode;
  }
  EXPECT_NEAR(result.what_la_brings.mean, 0.2 + 0.8 * 10 / 720, 1e-12);
}

TEST(LossDifferenceTest, RowsOfOtherTokensAreNotMeasured) {
  AttributionResult result = Rows();
  result.modes[0].row_tokens = {1, 2, 3, 4};
  EXPECT_FALSE(
      LossDifference(result.Find("hybrid"), result.Find("teacher")).measured());
  result.modes[2].row_tokens = {1, 2, 3, 4};
  EXPECT_TRUE(
      LossDifference(result.Find("hybrid"), result.Find("teacher")).measured());
  for (const size_t i : {0, 2}) result.modes[i].row_tokens = {1, 2, 3, 0};
  EXPECT_FALSE(
      LossDifference(result.Find("hybrid"), result.Find("teacher")).measured());
}

TEST(LossDifferenceTest, UnequalRowsAreNotMeasured) {
  AttributionResult result = Rows();
  result.modes[2].per_row.pop_back();
  EXPECT_FALSE(
      LossDifference(result.Find("hybrid"), result.Find("teacher")).measured());
  EXPECT_FALSE(LossDifference(nullptr, result.Find("teacher")).measured());
}

TEST(GridMeanTest, MeanOfAllHeads) {
  EXPECT_DOUBLE_EQ(GridMean({{1, 2}, {3, 6}}), 3);
  EXPECT_TRUE(std::isnan(GridMean({})));
}

}  // namespace
}  // namespace caracal
