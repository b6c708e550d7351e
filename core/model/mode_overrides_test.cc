#include "core/model/mode_overrides.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/base/status_matchers.h"

namespace caracal {
namespace {

using ::testing::HasSubstr;

ModeOverride Parsed(const std::string& text) {
  const absl::StatusOr<ModeOverride> at = ParseModeOverride(text);
  EXPECT_OK(at.status());
  return at.value_or(ModeOverride());
}

TEST(ModeOverridesTest, TextComesBack) {
  for (const char* text :
       {"la_only", "layers=0-3,7:la_only", "heads=2:none",
        "layers=5:heads=0,1-2:swa_only", "layers=0:softmax"}) {
    EXPECT_EQ(Parsed(text).ToString(), text);
  }
  EXPECT_EQ(Parsed("heads=1:layers=2-2:hybrid").ToString(),
            "layers=2:heads=1:hybrid");
}

TEST(ModeOverridesTest, OtherTextIsRefused) {
  const struct {
    const char* text;
    const char* says;
  } kCases[] = {
      {"", "unknown component mode ''"},
      {"layers=0-3", "unknown component mode 'layers=0-3'"},
      {"layers=0:la", "unknown component mode 'la'"},
      {"layers=:la_only", "'' is no number or range"},
      {"layers=3-1:la_only", "'3-1' is no number or range"},
      {"layers=1-2-3:la_only", "'1-2-3' is no number or range"},
      {"layers=-1:la_only", "'-1' is no number or range"},
      {"layers=0,x:la_only", "'x' is no number or range"},
      {"layer=0:la_only", "'layer=0' is not of layers=... and heads=..."},
      {"layers=0:layers=1:la_only", "'1' is a second one of layers=..."},
      {"layers=99999999999999999999:la_only", "is no number or range"},
  };
  for (const auto& c : kCases) {
    EXPECT_THAT(ParseModeOverride(c.text),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(c.says)))
        << c.text;
  }
}

constexpr int64_t kLayers = 4, kHeads = 3;

StudentConfig Student() {
  StudentConfig student;
  student.softmax_layers = {false, false, true, false};
  return student;
}

absl::Status Check(const std::vector<const char*>& texts,
                   ComponentMode base = ComponentMode::kHybrid) {
  std::vector<ModeOverride> overrides;
  for (const char* text : texts) overrides.push_back(Parsed(text));
  return CheckModeOverrides(overrides, base, Student(), kLayers, kHeads);
}

TEST(ModeOverridesTest, WhatDoesNotFitIsRefused) {
  const struct {
    std::vector<const char*> texts;
    const char* says;
  } kCases[] = {
      {{"layers=0-4:la_only"},
       "layers=0-4:la_only: there is no layer 4; the model has layers 0 to 3"},
      {{"heads=3:la_only"}, "there is no head 3; the model has heads 0 to 2"},
      {{"layers=1-2:la_only"}, "layer 2 was kept as softmax"},
      {{"sinks_only"}, "sinks_only needs sinks"},
      {{"layers=0:teacher_swa"},
       "teacher_swa has LoRA off, and hybrid around it on"},
      {{"heads=0:softmax"}, "softmax goes for whole layers only"},
      {{"layers=0:softmax", "heads=0:none"},
       "heads=0:none: layer 0 is in full softmax"},
  };
  for (const auto& c : kCases) {
    EXPECT_THAT(Check(c.texts), StatusIs(absl::StatusCode::kInvalidArgument,
                                         HasSubstr(c.says)));
  }
  EXPECT_THAT(Check({"layers=0:swa_only"}, ComponentMode::kTeacher),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("swa_only has LoRA on")));
}

TEST(ModeOverridesTest, WhatFitsIsNot) {
  EXPECT_OK(
      Check({"layers=0,1,3:heads=0-2:la_only", "none", "heads=1:hybrid"}));
  EXPECT_OK(Check({"layers=0:softmax", "layers=0:hybrid", "heads=0:none"}));
  EXPECT_OK(Check({"layers=0:teacher_swa"}, ComponentMode::kTeacher));
  EXPECT_OK(Check({"layers=1:hybrid", "layers=1:heads=0:none"},
                  ComponentMode::kSoftmax));
}

TEST(ModeOverridesTest, LaterOnesWinAndKeptLayersStay) {
  const StudentConfig student = Student();
  ModePlan plan;
  plan.set_softmax_layers(&student.softmax_layers);
  plan.SetAll(kLayers, 2, kHeads, ComponentMode::kHybrid);
  ApplyModeOverrides({Parsed("la_only"), Parsed("layers=1,3:swa_only"),
                      Parsed("heads=0:none"), Parsed("layers=3:softmax")},
                     student, &plan);
  EXPECT_TRUE(plan.full_softmax(2));
  EXPECT_TRUE(plan.full_softmax(3));
  for (int s = 0; s < 2; ++s) {
    for (int h = 0; h < kHeads; ++h) {
      const int64_t i = s * kHeads + h;
      EXPECT_EQ(plan.terms(0)[i], h == 0 ? 0 : TermsOf(ComponentMode::kLaOnly));
      EXPECT_EQ(plan.terms(1)[i],
                h == 0 ? 0 : TermsOf(ComponentMode::kSwaOnly));
    }
  }
}

}  // namespace
}  // namespace caracal
