// Masses by position.
#include "eval/report/chart_position.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/base/status_matchers.h"
#include "eval/report/testing/xml_checker.h"

namespace caracal {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

TEST(PositionChartTest, HasTwoLinesWithAPointForEachBucket) {
  const std::string chart = PositionChart({{64, 128, 0.1, 0.05, 0.2},
                                           {128, 256, 0.2, 0.1, 0.3},
                                           {256, 512, 0.3, 0.1, 0.31}});
  ASSERT_OK_AND_ASSIGN(auto counts, CheckXml(chart));
  EXPECT_EQ(counts["polyline"], 2);
  EXPECT_EQ(counts["circle"], 6);
  EXPECT_THAT(chart, HasSubstr("tokens 128 to 256: linear part 0.200"));
  EXPECT_THAT(chart, HasSubstr("tokens 64 to 128: teacher 0.200"));
}

TEST(PositionChartTest, FewerThanTwoBucketsAreNotDrawn) {
  EXPECT_EQ(PositionChart({}), "");
  EXPECT_EQ(PositionChart({{0, 64, 0.1, 0.1, 0.1}, {64, 128}}), "");
}

TEST(PositionChartTest, ZeroMassesStillGiveAScale) {
  const std::string chart =
      PositionChart({{0, 64, 0, 0, 0}, {64, 128, 0, 0, 0}});
  EXPECT_OK(CheckXml(chart));
  EXPECT_THAT(chart, Not(HasSubstr("nan")));
}

}  // namespace
}  // namespace caracal
