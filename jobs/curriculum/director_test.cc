#include "jobs/curriculum/director.h"

#include <gmock/gmock.h>
#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>

#include <string>

#include "core/base/status_matchers.h"

namespace caracal {
namespace {

using absl::StatusCode;
using ::testing::AllOf;
using ::testing::HasSubstr;

// Transfer, then a fine-tuning stage of 10 steps with this curriculum.
proto::Job JobWith(const std::string& curriculum) {
  proto::Job job;
  CARACAL_CHECK(google::protobuf::TextFormat::ParseFromString(
      "stages { transfer { steps: 4 } } stages { finetune { steps: 10 " +
          (curriculum.empty() ? "" : "curriculum { " + curriculum + " }") +
          " } }",
      &job))
      << curriculum;
  return job;
}
constexpr char kLoop[] =
    "drop { constant: 0.5 } closed_loop { gain: 0.25 target: 0.9 p_min: 0 "
    "p_max: 0.95 every: 4 smoothing: 0.5 }";

TEST(Direct, FollowsTheSchedules) {
  const proto::Job job = JobWith(
      "drop { step: [0.9, 0.5] } window { linear { from: 64 to: 10 } }");
  ASSERT_OK_AND_ASSIGN(const CurriculumWindow all,
                       Direct(job, {.stage = 1}, {}, 100));
  ASSERT_EQ(all.directives.size(), 10);
  EXPECT_EQ(all.At(4), (Directive{0.9, 40}));
  EXPECT_EQ(all.At(5), (Directive{0.5, 34}));
  ASSERT_OK_AND_ASSIGN(const CurriculumWindow some,
                       Direct(job, {.stage = 1, .step = 7}, {}, 2));
  EXPECT_EQ(some.first_step, 7);
  ASSERT_EQ(some.directives.size(), 2);
  EXPECT_EQ(some.At(8), all.At(8));
  EXPECT_FALSE(some.Covers(6));
  EXPECT_TRUE(some.Covers(8));
  EXPECT_FALSE(some.Covers(9));
}

TEST(Direct, TheClosedLoopDecidesFromProbeToProbe) {
  const proto::Job job = JobWith(kLoop);
  CurriculumPoint point = {.stage = 1};
  point.loop = ClosedLoopAtStart(*CurriculumOf(job, 1), 10);
  EXPECT_EQ(point.loop.drop_probability, 0.5);
  ASSERT_OK_AND_ASSIGN(CurriculumWindow window, Direct(job, point, {}, 100));
  EXPECT_EQ(window.directives, std::vector<Directive>(4, {0.5, 0}));
  EXPECT_FALSE(window.decision.has_value());
  // u = 0.1, u* = 0.2.
  point.step = 4;
  point.measured = {
      .teacher = 2, .teacher_swa = 2.2, .hybrid = 2.1, .swa_only = 2.2};
  ASSERT_OK_AND_ASSIGN(window, Direct(job, point, {}, 100));
  ASSERT_TRUE(window.decision.has_value());
  EXPECT_NEAR(window.decision->ratio, 0.5, 1e-12);
  EXPECT_NEAR(window.loop.drop_probability, 0.5 + 0.25 * 0.4, 1e-12);
  EXPECT_EQ(window.directives,
            std::vector<Directive>(4, {window.loop.drop_probability, 0}));
  // After the last step there is nothing left to direct.
  point.step = 10;
  ASSERT_OK_AND_ASSIGN(window, Direct(job, point, {}, 100));
  EXPECT_TRUE(window.directives.empty());
  EXPECT_TRUE(window.decision.has_value());
}

TEST(Direct, ATuningGoesOverBothAndLeavesTheLoopAlone) {
  const proto::Job job = JobWith(kLoop);
  const CurriculumPoint point = {
      .stage = 1, .step = 4, .loop = {.drop_probability = 0.3}};
  ASSERT_OK_AND_ASSIGN(
      const CurriculumWindow window,
      Direct(job, point, {.drop_probability = 0.6, .window = 9}, 100));
  // The window is none of this curriculum's business.
  EXPECT_EQ(window.directives, std::vector<Directive>(4, {0.6, 0}));
  EXPECT_EQ(window.loop.drop_probability, 0.3);
}

TEST(Direct, WhatIsNotThereIsRefused) {
  const proto::Job job = JobWith("drop { constant: 0.5 }");
  for (const CurriculumPoint& point :
       {CurriculumPoint{.stage = 0}, CurriculumPoint{.stage = 2},
        CurriculumPoint{.stage = -1}, CurriculumPoint{.stage = 1, .step = 11},
        CurriculumPoint{.stage = 1, .step = -1}}) {
    EXPECT_THAT(Direct(job, point, {}, 1),
                StatusIs(StatusCode::kInvalidArgument, HasSubstr("stage")));
  }
}

TEST(CheckTuning, ValuesHaveARangeAndAStage) {
  const proto::Job job = JobWith("window { constant: 32 }");
  EXPECT_OK(CheckTuning(job, {}));
  EXPECT_OK(CheckTuning(job, {.window = 1}));
  EXPECT_THAT(
      CheckTuning(job, {.window = 0}),
      StatusIs(StatusCode::kInvalidArgument, HasSubstr("window: is 0")));
  EXPECT_THAT(CheckTuning(job, {.drop_probability = 0.5}),
              StatusIs(StatusCode::kFailedPrecondition, HasSubstr("drops")));
  const proto::Job dropping = JobWith("drop { constant: 0.5 }");
  EXPECT_OK(CheckTuning(dropping, {.drop_probability = 1}));
  for (const double p : {-0.1, 1.1, std::nan("")}) {
    EXPECT_THAT(CheckTuning(dropping, {.drop_probability = p}),
                StatusIs(StatusCode::kInvalidArgument,
                         HasSubstr("drop_probability: is")));
  }
  // Whatever is wrong is told at once.
  EXPECT_THAT(CheckTuning(dropping, {.drop_probability = 2, .window = 0}),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       AllOf(HasSubstr("drop_probability: is 2"),
                             HasSubstr("window: is 0"))));
  EXPECT_THAT(CheckTuning(dropping, {.window = 8}),
              StatusIs(StatusCode::kFailedPrecondition, HasSubstr("window")));
}

}  // namespace
}  // namespace caracal
