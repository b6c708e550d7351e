// Parts of bars, and their classes.
#include "eval/report/chart_key_classes.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "core/base/status_matchers.h"
#include "eval/report/testing/xml_checker.h"

namespace caracal {
namespace {

using ::testing::HasSubstr;

TEST(KeyClassesTest, SinksAreSplitFromWhoeverHasThem) {
  AttributionResult result;
  result.masses.la_mass = {{0.25}};
  result.masses.teacher_out_mass = {{0.5}};
  result.masses.sink_mass = {{0.0625}};
  result.masses.teacher_sink_mass = {{0.125}};
  // Without sinks those positions are part of the linear part's.
  EXPECT_EQ(StudentClasses(result).window, 0.75);
  EXPECT_EQ(StudentClasses(result).past, 0.1875);
  EXPECT_EQ(TeacherClasses(result).past, 0.375);
  result.settings.sinks = 4;
  EXPECT_EQ(StudentClasses(result).window, 0.6875);
  EXPECT_EQ(StudentClasses(result).past, 0.25);
  EXPECT_EQ(TeacherClasses(result).window, 0.375);
  EXPECT_EQ(TeacherClasses(result).sinks, 0.125);
}

TEST(KeyClassChartTest, HasAPartForEachClass) {
  const std::string chart = KeyClassChart({0.5, 0.2, 0.3}, {0.9, 0.02, 0.08});
  ASSERT_OK_AND_ASSIGN(auto counts, CheckXml(chart));
  EXPECT_EQ(counts["rect"], 3 + 2 * 3);
  EXPECT_THAT(chart, HasSubstr("Teacher: window 50%, sink positions 20%, other "
                               "past 30%."));
  EXPECT_THAT(chart, HasSubstr("student, sink positions: 2.0%"));
}

TEST(KeyClassChartTest, NothingMeasuredIsNoChart) {
  EXPECT_EQ(KeyClassChart({}, {0.5, 0.2, 0.3}), "");
  EXPECT_EQ(KeyClassChart(TeacherClasses({}), StudentClasses({})), "");
}

}  // namespace
}  // namespace caracal
