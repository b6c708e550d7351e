// Cells, tooltips and colour bars of heat maps.
#include "eval/report/chart_heat_map.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "core/base/status_matchers.h"
#include "eval/report/color_scale.h"
#include "eval/report/testing/xml_checker.h"

namespace caracal {
namespace {

using ::testing::HasSubstr;

constexpr int kBarSteps = 33;

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
