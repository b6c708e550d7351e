// Both charts of the modes, whole and with parts missing.
#include "eval/report/chart_modes.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/base/status_matchers.h"
#include "eval/report/testing/sample_report.h"
#include "eval/report/testing/xml_checker.h"

namespace caracal {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

TEST(ModeLossChartTest, HasABarAndANumberForEveryMode) {
  const AttributionResult result = SampleAttribution();
  const std::string chart = ModeLossChart(ModeRows(result));
  ASSERT_OK_AND_ASSIGN(auto counts, CheckXml(chart));
  EXPECT_EQ(counts["rect"], 8);
  for (const char* text : {"3.865", "3.924", "3.951", "6.203", "10.512",
                           "5.070", "3.983", "teacher_swa S=4"}) {
    EXPECT_THAT(chart, HasSubstr(absl::StrCat(">", text, "</text>")));
  }
  EXPECT_THAT(chart, HasSubstr("class=\"reference\""));
}

TEST(ModeDifferenceChartTest, FarModesGetAnArrowNearOnesADot) {
  const AttributionResult result = SampleAttribution();
  const std::string chart = ModeDifferenceChart(ModeRows(result));
  ASSERT_OK_AND_ASSIGN(auto counts, CheckXml(chart));
  EXPECT_EQ(counts["circle"], 3);  // hybrid, swa_only, window and 4 sinks
  EXPECT_THAT(chart, HasSubstr(">+0.059</text>"));
  EXPECT_THAT(chart, HasSubstr(">+6.647 \u2192</text>"));
  EXPECT_THAT(chart, HasSubstr(">+1.205 \u2192</text>"));
}

TEST(ModeDifferenceChartTest, AModeBetterThanTheTeacherIsOnTheScale) {
  const AttributionResult result = SampleAttribution({.hybrid = 3.765});
  const std::string chart = ModeDifferenceChart(ModeRows(result));
  EXPECT_OK(CheckXml(chart));
  EXPECT_THAT(chart, HasSubstr(">\u22120.100</text>"));
}

TEST(ModeChartsTest, WithoutDataThereIsNoChart) {
  AttributionResult result;
  EXPECT_EQ(ModeLossChart(ModeRows(result)), "");
  EXPECT_EQ(ModeDifferenceChart(ModeRows(result)), "");
  result.modes = {{"hybrid", 3.5, {3.5}, 3.5, {3.5}}};
  EXPECT_OK(CheckXml(ModeLossChart(ModeRows(result))));
  EXPECT_EQ(ModeDifferenceChart(ModeRows(result)), "");
}

TEST(ModeChartsTest, OneRowHasNoWhiskers) {
  const AttributionResult result = SampleAttribution({.rows = 1});
  for (const std::string& chart : {ModeLossChart(ModeRows(result)),
                                   ModeDifferenceChart(ModeRows(result))}) {
    EXPECT_OK(CheckXml(chart));
    EXPECT_THAT(chart, Not(HasSubstr("whisker")));
    EXPECT_THAT(chart, Not(HasSubstr("nan")));
  }
}

}  // namespace
}  // namespace caracal
