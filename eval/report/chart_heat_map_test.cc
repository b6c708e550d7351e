// Cells, tooltips and colour bars of heat maps.
#include "eval/report/chart_heat_map.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <regex>
#include <string>

#include "core/base/status_matchers.h"
#include "core/base/utf8.h"
#include "eval/report/color_scale.h"
#include "eval/report/testing/xml_checker.h"

namespace caracal {
namespace {

using ::testing::HasSubstr;

constexpr int kBarSteps = 33;

// Between neighbours of the lowest line of labels, a letter taking 6.8.
double SmallestGap(const std::string& chart) {
  const std::regex label(
      "<text class=\"tick\" x=\"([0-9.]+)\" y=\"([0-9.]+)\""
      "(?: text-anchor=\"(\\w+)\")?>([^<]*)</text>");
  double line = 0, gap = 1e9, end = -1e9;
  for (std::sregex_iterator i(chart.begin(), chart.end(), label), none;
       i != none; ++i) {
    line = std::max(line, std::stod((*i)[2]));
  }
  for (std::sregex_iterator i(chart.begin(), chart.end(), label), none;
       i != none; ++i) {
    if (std::stod((*i)[2]) < line) continue;
    const double width = 6.8 * TerminalColumns(i->str(4));
    const double shift = i->str(3) == "middle" ? width / 2
                         : i->str(3) == "end"  ? width
                                               : 0;
    const double begin = std::stod((*i)[1]) - shift;
    gap = std::min(gap, begin - end);
    end = begin + width;
  }
  return gap;
}

TEST(HeatMapChartTest, EveryCellHasItsValueAndColor) {
  const HeadGrid grid = {{0, 0.25, 0.5}, {0.1, 0.2, 0.3}};
  const std::string chart = HeatMapChart({"LA mass", &grid, 0.5, false});
  ASSERT_OK_AND_ASSIGN(auto counts, CheckXml(chart));
  EXPECT_EQ(counts["rect"], 6 + kBarSteps);
  EXPECT_EQ(counts["title"], 6);
  EXPECT_THAT(chart, HasSubstr("layer 1, head 2: LA mass 0.300"));
  EXPECT_THAT(chart, HasSubstr(absl::StrCat(
                         SequentialColor(1),
                         "\"><title>layer 0, head 2: LA mass 0.500")));
}

TEST(HeatMapChartTest, DivergingIsCentredOnZero) {
  const HeadGrid grid = {{-0.2, 0, 0.1}};
  const std::string chart = HeatMapChart({"gap", &grid, 0.2, true});
  EXPECT_OK(CheckXml(chart));
  for (const char* cell : {"class=\"d-16\"", "class=\"d0\"", "class=\"d8\""}) {
    EXPECT_THAT(chart, HasSubstr(cell));
  }
  EXPECT_THAT(chart, HasSubstr("gap -0.200"));
  EXPECT_THAT(chart, HasSubstr(">+0.2</text>"));
  EXPECT_THAT(chart, HasSubstr(">\u22120.2</text>"));
}

TEST(HeatMapChartTest, LabelsOfTheColorBarStandApart) {
  const HeadGrid grid = {{-0.6, 0, 0.1}};
  for (const bool diverging : {true, false}) {
    for (const double limit : {1e-3, 1.5e-3, 0.02, 0.025, 0.1, 0.15, 0.2, 0.25,
                               0.3, 0.4, 0.5, 0.6, 0.8, 1.0}) {
      const std::string chart = HeatMapChart({"gap", &grid, limit, diverging});
      EXPECT_GT(SmallestGap(chart), 7) << limit << " " << diverging;
    }
  }
}

TEST(HeatMapChartTest, NotMeasuredCellsAreHollow) {
  const HeadGrid grid = {{std::nan(""), 0.1}};
  const std::string chart =
      HeatMapChart({"LA mass", &grid, HeatMapLimit(grid), false});
  EXPECT_OK(CheckXml(chart));
  EXPECT_THAT(chart, HasSubstr("class=\"hollow\""));
  EXPECT_THAT(chart, HasSubstr("LA mass n/a"));
}

TEST(HeatMapChartTest, AnySizeOfModelIsDrawn) {
  for (size_t layers : {1, 2, 32, 128}) {
    for (size_t heads : {1, 9, 64}) {
      const HeadGrid grid(layers, std::vector<double>(heads, 0.5));
      ASSERT_OK_AND_ASSIGN(
          auto counts, CheckXml(HeatMapChart({"LA mass", &grid, 1, false})));
      EXPECT_EQ(counts["rect"], layers * heads + kBarSteps);
    }
  }
}

TEST(HeatMapLimitTest, RoundsUpToAGoodEnd) {
  EXPECT_DOUBLE_EQ(HeatMapLimit({{0.1, -0.27}}), 0.3);
  EXPECT_DOUBLE_EQ(HeatMapLimit({{0.5}}), 0.5);
  EXPECT_DOUBLE_EQ(HeatMapLimit({{0.81}}), 1);
  EXPECT_DOUBLE_EQ(HeatMapLimit({{0, std::nan("")}}), 1e-3);
}

}  // namespace
}  // namespace caracal
