// The chart of several runs.
#include "eval/report/chart_runs.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "core/base/status_matchers.h"
#include "eval/report/testing/xml_checker.h"

namespace caracal {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

const std::vector<RunReference> kReferences = {
    {"teacher", 3.0, /*teacher=*/true},
    {"4 sinks, untrained", 3.4},
    {"window, untrained", 4.2}};

TEST(RunsChartTest, EveryRunHasADotARingAndItsNumbers) {
  const std::string chart = RunsChart(
      {{"lolcats", 3.31, 3.35}, {"ssd <seed 2>", 3.33, 3.47}}, kReferences);
  ASSERT_OK_AND_ASSIGN(auto counts, CheckXml(chart));
  EXPECT_EQ(counts["circle"], 4);
  for (const char* text : {"lolcats", "ssd &lt;seed 2&gt;", "3.310", "+0.040",
                           "3.330", "+0.140", "teacher"}) {
    EXPECT_THAT(chart, HasSubstr(absl::StrCat(">", text, "</text>")));
  }
  EXPECT_THAT(chart, Not(HasSubstr("harm")));
}

TEST(RunsChartTest, AHarmfulLinearPartIsMarked) {
  const std::string chart = RunsChart({{"bad", 3.6, 3.4}}, kReferences);
  EXPECT_OK(CheckXml(chart));
  EXPECT_THAT(chart, HasSubstr("span harm"));
  EXPECT_THAT(chart, HasSubstr(">\u22120.200</text>"));
}

TEST(RunsChartTest, ARunFarBeyondTheReferencesGetsAnArrow) {
  const std::string chart =
      RunsChart({{"near", 3.3, 3.4}, {"far", 9.5, 3.4}}, kReferences);
  ASSERT_OK_AND_ASSIGN(auto counts, CheckXml(chart));
  EXPECT_EQ(counts["circle"], 3);
  EXPECT_THAT(chart, HasSubstr(">9.500 \u2192</text>"));
}

TEST(RunsChartTest, AControlHasARingOnly) {
  const std::string chart = RunsChart({{"control", NAN, 3.4}}, kReferences);
  ASSERT_OK_AND_ASSIGN(auto counts, CheckXml(chart));
  EXPECT_EQ(counts["circle"], 1);
  EXPECT_THAT(chart, Not(HasSubstr("nan")));
  EXPECT_THAT(chart, Not(HasSubstr("span")));
}

TEST(RunsChartTest, LabelsThatWouldTouchStandOnTwoLines) {
  const auto height = [](const std::string& chart) {
    const size_t at = chart.find("viewBox=\"0 0 760 ") + 17;
    return std::stod(chart.substr(at));
  };
  const std::vector<RunDots> runs = {{"a", 3.3, 3.4}};
  EXPECT_GT(height(RunsChart(runs, {{"teacher", 3.0, true},
                                    {"close to the other", 3.4},
                                    {"4 sinks, untrained", 3.41}})),
            height(RunsChart(runs, kReferences)));
}

TEST(RunsChartTest, WithoutReferencesOrWithoutSwaOnlyItIsStillDrawn) {
  const std::string chart = RunsChart({{"a", 3.3, NAN}}, {});
  ASSERT_OK_AND_ASSIGN(auto counts, CheckXml(chart));
  EXPECT_EQ(counts["circle"], 1);
  EXPECT_THAT(chart, Not(HasSubstr("nan")));
  EXPECT_EQ(RunsChart({{"a", NAN, NAN}}, kReferences), "");
  EXPECT_EQ(RunsChart({}, kReferences), "");
}

}  // namespace
}  // namespace caracal
