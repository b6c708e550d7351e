// Curves of ordinary, tiny, huge and broken stages.
#include "eval/report/chart_loss_curve.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "core/base/status_matchers.h"
#include "eval/report/testing/xml_checker.h"

namespace caracal {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

std::vector<StepMetrics> Steps(const std::vector<double>& losses) {
  std::vector<StepMetrics> steps;
  for (double loss : losses) {
    steps.push_back(
        {"stage", static_cast<int64_t>(steps.size()) + 1, loss, 500});
  }
  return steps;
}

TEST(SplitByStageTest, KeepsOrderOfAppearance) {
  const auto stages = SplitByStage(
      {{"transfer", 1, 0.5}, {"finetune", 1, 4.0}, {"transfer", 2, 0.4}});
  ASSERT_EQ(stages.size(), 2);
  EXPECT_EQ(stages[0].first, "transfer");
  EXPECT_EQ(stages[0].second.size(), 2);
  EXPECT_EQ(stages[1].second[0].loss, 4.0);
}

TEST(LossCurveChartTest, HasADotForEveryStepAndOneLine) {
  const std::string chart =
      LossCurveChart("transfer", Steps({4.4, 4.2, 4.1, 4.0, 3.95}));
  ASSERT_OK_AND_ASSIGN(auto counts, CheckXml(chart));
  EXPECT_EQ(counts["circle"], 5);
  EXPECT_EQ(counts["polyline"], 1);
  EXPECT_THAT(chart, HasSubstr("from 4.40 to 3.95"));
  EXPECT_THAT(chart, HasSubstr("step 2: 4.20"));
  EXPECT_THAT(chart, Not(HasSubstr("logarithmic")));
}

// On a straight line a local linear fit changes nothing, at the ends neither:
// the label at the end of the curve is the last value.
TEST(LossCurveChartTest, SmoothingKeepsAStraightLine) {
  std::vector<double> losses;
  for (int i = 0; i < 40; ++i) losses.push_back(5 - 0.05 * i);
  EXPECT_THAT(LossCurveChart("s", Steps(losses)),
              HasSubstr("class=\"value strong\""));
  EXPECT_THAT(LossCurveChart("s", Steps(losses)), HasSubstr(">3.05</text>"));
}

TEST(LossCurveChartTest, WideRangesGetALogarithmicAxis) {
  EXPECT_THAT(LossCurveChart("s", Steps({1, 0.3, 0.1, 0.03, 0.01})),
              HasSubstr("loss (logarithmic)"));
  EXPECT_THAT(LossCurveChart("s", Steps({1, 0.3, 0, 0.03})),
              Not(HasSubstr("logarithmic")));
}

TEST(LossCurveChartTest, ManyStepsAreThinned) {
  std::vector<double> losses;
  for (int i = 0; i < 25000; ++i) losses.push_back(3 + 1.0 / (1 + i));
  ASSERT_OK_AND_ASSIGN(auto counts,
                       CheckXml(LossCurveChart("s", Steps(losses))));
  EXPECT_LE(counts["circle"], 1000);
  EXPECT_GE(counts["circle"], 500);
}

TEST(LossCurveChartTest, OddStagesAreDrawnOrLeftOut) {
  const double nan = std::nan("");
  EXPECT_EQ(LossCurveChart("s", {}), "");
  EXPECT_EQ(LossCurveChart("s", Steps({nan, nan})), "");
  for (const auto& losses : std::vector<std::vector<double>>{
           {4.0}, {4.0, 4.0}, {4.0, nan, 3.9}, {0, 0, 0}, {-1, 2, 3}}) {
    const std::string chart = LossCurveChart("<s>", Steps(losses));
    EXPECT_OK(CheckXml(chart));
    EXPECT_THAT(chart, Not(HasSubstr("nan")));
    EXPECT_THAT(chart, Not(HasSubstr("inf")));
  }
}

TEST(LossCurveChartTest, ValidationLossesAreMarked) {
  auto steps = Steps({4.4, 4.2, 4.1});
  steps[1].validation_loss = 4.0;
  EXPECT_THAT(LossCurveChart("s", steps),
              HasSubstr("validation at step 2: 4.00"));
}

}  // namespace
}  // namespace caracal
