// Order, labels and differences of the modes.
#include "eval/report/mode_rows.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "eval/report/testing/sample_report.h"

namespace caracal {
namespace {

using ::testing::ElementsAre;

std::vector<std::string> Labels(const AttributionResult& result) {
  std::vector<std::string> labels;
  for (const ModeRow& row : ModeRows(result)) labels.push_back(row.label);
  return labels;
}

TEST(ModeRowsTest, TeacherFirstBaselinesLast) {
  EXPECT_THAT(Labels(SampleAttribution()),
              ElementsAre("teacher", "hybrid", "swa_only", "la_only", "la_past",
                          "none", "teacher_swa S=0", "teacher_swa S=4"));
}

TEST(ModeRowsTest, OwnSinksThatNoBaselineHasAreShown) {
  AttributionResult result = SampleAttribution();
  result.settings.sinks = 16;
  EXPECT_EQ(Labels(result).back(), "teacher_swa S=16");
}

TEST(ModeRowsTest, BaselinesRiseWhateverTheOrderMeasured) {
  AttributionResult result = SampleAttribution();
  ModeResult many = result.baselines[1];
  many.mode = "teacher_swa_s16";
  result.baselines = {many, result.baselines[1], result.baselines[0]};
  const auto labels = Labels(result);
  EXPECT_THAT(
      std::vector<std::string>(labels.end() - 3, labels.end()),
      ElementsAre("teacher_swa S=0", "teacher_swa S=4", "teacher_swa S=16"));
}

TEST(ModeRowsTest, UnknownModesComeAfterTheKnownComponents) {
  AttributionResult result = SampleAttribution();
  ModeResult other = result.modes[0];
  other.mode = "something_new";
  result.modes.insert(result.modes.begin(), other);
  const auto labels = Labels(result);
  EXPECT_EQ(labels[0], "teacher");
  EXPECT_EQ(labels[6], "something_new");
}

TEST(ModeRowsTest, ModesAtLayersAreToldByTheirMeaning) {
  AttributionResult result = SampleAttribution();
  ModeResult other = result.modes[0];
  other.mode = "at layers=0-3:la_only heads=1:none";
  result.modes.insert(result.modes.begin(), other);
  const auto rows = ModeRows(result);
  EXPECT_EQ(rows[6].label, kModeAtLabel);
  EXPECT_EQ(rows[6].meaning, "hybrid, but layers=0-3:la_only heads=1:none");
}

TEST(ModeRowsTest, DifferencesArePairedWithTheTeacher) {
  const AttributionResult result = SampleAttribution();
  const auto rows = ModeRows(result);
  EXPECT_NEAR(rows[1].to_teacher.mean, 0.059, 1e-9);
  EXPECT_TRUE(rows[1].to_teacher.above_zero());
  EXPECT_LT(rows[1].to_teacher.high - rows[1].to_teacher.low, 0.1);
  EXPECT_GT(rows[1].result->interval.high - rows[1].result->interval.low, 0.1);
}

TEST(StartsGroupTest, TeacherAndStudentAreOneGroup) {
  const AttributionResult result = SampleAttribution();
  const auto rows = ModeRows(result);
  std::vector<size_t> starts;
  for (size_t i = 0; i < rows.size(); ++i) {
    if (StartsGroup(rows, i)) starts.push_back(i);
  }
  EXPECT_THAT(starts, ElementsAre(0, 2, 6));
}

}  // namespace
}  // namespace caracal
