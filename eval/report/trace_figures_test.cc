// Which pictures a stage gets.
#include "eval/report/trace_figures.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <vector>

#include "core/base/status_matchers.h"
#include "eval/report/testing/xml_checker.h"

namespace caracal {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

std::vector<StepMetrics> Steps(
    const std::function<void(int, StepMetrics&)>& set) {
  std::vector<StepMetrics> steps;
  for (int i = 1; i <= 10; ++i) {
    steps.push_back({"finetune", i, 4.0});
    set(i, steps.back());
  }
  return steps;
}

std::vector<std::string> Titles(const std::vector<StepMetrics>& steps) {
  std::vector<std::string> titles;
  for (const TraceFigure& figure : TraceFigures(steps)) {
    EXPECT_OK(CheckXml(figure.chart));
    titles.push_back(figure.title);
  }
  return titles;
}

TEST(TraceFiguresTest, APlainStageHasNone) {
  EXPECT_THAT(Titles(Steps([](int, StepMetrics&) {})), IsEmpty());
}

TEST(TraceFiguresTest, AWindowIsDrawnWhereItMoves) {
  const auto with = [](bool moving) {
    return Steps([&](int i, StepMetrics& m) {
      m.drop_probability = 0.5;
      m.dropped_share = 0.5 + 0.01 * i;
      m.window = moving ? 8 * i : 64;
    });
  };
  EXPECT_THAT(Titles(with(false)), ElementsAre("Window dropout"));
  EXPECT_THAT(Titles(with(true)), ElementsAre("Window dropout", "Window"));
}

TEST(TraceFiguresTest, TheClosedLoopIsDrawnWhereItMeasured) {
  const auto steps = Steps([](int i, StepMetrics& m) {
    if (i % 5 != 0) return;
    m.u = 0.01 * i;
    m.u_star = 0.1;
    m.r = 0.1 * i;
    m.next_drop_probability = 0.9;
  });
  EXPECT_THAT(Titles(steps), ElementsAre("Closed loop: what it measures",
                                         "Closed loop: what it does"));
  EXPECT_THAT(TraceFigures(steps)[0].chart,
              HasSubstr("u from 0.0500 to 0.100;"));
}

TEST(TraceFiguresTest, TheEarlyStopRingsItsLowestScore) {
  const auto figures = TraceFigures(Steps([](int i, StepMetrics& m) {
    if (i % 2 != 0) return;
    m.hybrid_loss = 4 - 0.01 * i;
    m.swa_only_loss = 4.1 - 0.01 * i;
    m.la_only_loss = 6;
    m.early_stop_score = i == 6 ? 3.9 : 3.95;
  }));
  ASSERT_EQ(figures.size(), 2);
  EXPECT_EQ(figures[0].title, "Early stop");
  EXPECT_THAT(figures[0].about, HasSubstr("at step 6"));
  EXPECT_THAT(figures[0].chart, HasSubstr("lowest score, step 6"));
  EXPECT_EQ(figures[1].title, "Early stop: linear attention alone");
}

}  // namespace
}  // namespace caracal
