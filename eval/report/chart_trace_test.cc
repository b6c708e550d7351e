// Lines, dots, labels and awkward values.
#include "eval/report/chart_trace.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <string>

#include "absl/strings/numbers.h"
#include "core/base/status_matchers.h"
#include "eval/report/testing/xml_checker.h"

namespace caracal {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

TraceLine Line(const char* name, double from, double to, int steps) {
  TraceLine line{name, "student", {}};
  for (int i = 1; i <= steps; ++i) {
    line.points.push_back({i, from + (to - from) * i / steps});
  }
  return line;
}

TEST(TraceChartTest, HasALineALabelAndDotsForEachQuantity) {
  const std::string chart = TraceChart(
      {.axis = "nats", .lines = {Line("u", 0, 0.5, 5), Line("v", 1, 1, 5)}});
  ASSERT_OK_AND_ASSIGN(auto counts, CheckXml(chart));
  EXPECT_EQ(counts["polyline"], 2);
  EXPECT_EQ(counts["circle"], 10);
  EXPECT_THAT(chart, HasSubstr("u from 0.100 to 0.500;"));
  EXPECT_THAT(chart, HasSubstr(">v 1</text>"));
  EXPECT_THAT(chart, HasSubstr("step 3: u 0.300"));
}

TEST(TraceChartTest, ManyPointsAreThinnedAndHaveNoTooltips) {
  const std::string chart =
      TraceChart({.axis = "p", .lines = {Line("p", 0, 1, 20000)}});
  ASSERT_OK_AND_ASSIGN(auto counts, CheckXml(chart));
  EXPECT_EQ(counts["circle"], 0);
  EXPECT_LT(chart.size(), 30000);
}

TEST(TraceChartTest, NothingFiniteIsNoChart) {
  TraceLine line{"x", "student", {{1, NAN}, {2, HUGE_VAL}}};
  EXPECT_EQ(TraceChart({.axis = "x", .lines = {line}}), "");
  EXPECT_EQ(TraceChart({.axis = "x"}), "");
  line.points.push_back({3, 0.25});
  ASSERT_OK_AND_ASSIGN(auto counts,
                       CheckXml(TraceChart({.axis = "x", .lines = {line}})));
  EXPECT_EQ(counts["circle"], 1);
  EXPECT_EQ(counts["polyline"], 0);
}

TEST(TraceChartTest, TheAxisShowsAtLeastWhatItShould) {
  const auto ticks = [](double low, double high) {
    return TraceChart({.axis = "p",
                       .lines = {Line("p", 0.4, 0.5, 9)},
                       .low = low,
                       .high = high});
  };
  EXPECT_THAT(ticks(0, 1), HasSubstr(">0.2</text>"));
  EXPECT_THAT(ticks(NAN, NAN), Not(HasSubstr(">0.2</text>")));
}

// The labels of lines that end in one point stand below one another.
TEST(TraceChartTest, LabelsDoNotTouch) {
  const std::string chart = TraceChart(
      {.axis = "x",
       .lines = {Line("a", 0, 1, 3), Line("b", 0, 1, 3), Line("c", 0, 1, 3)}});
  std::vector<double> heights;
  for (const char* name : {">a 1<", ">b 1<", ">c 1<"}) {
    const size_t label = chart.find(name);
    ASSERT_NE(label, std::string::npos);
    const size_t y = chart.rfind(" y=\"", label) + 4;
    heights.push_back(std::stod(chart.substr(y)));
  }
  EXPECT_GE(heights[1] - heights[0], 15);
  EXPECT_GE(heights[2] - heights[1], 15);
}

TEST(TraceChartTest, RingMarksWhatWasChosen) {
  Trace trace{.axis = "x", .lines = {Line("a", 0, 1, 3)}};
  EXPECT_THAT(TraceChart(trace), Not(HasSubstr("ring")));
  trace.ring = {2, 0.5};
  trace.ring_label = "best <&>";
  const std::string chart = TraceChart(trace);
  EXPECT_OK(CheckXml(chart));
  EXPECT_THAT(chart, HasSubstr("class=\"ring\""));
  EXPECT_THAT(chart, HasSubstr("best &lt;&amp;&gt;"));
}

}  // namespace
}  // namespace caracal
