#include "jobs/spec/presets.h"

#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>

#include "core/base/status.h"

namespace caracal {
namespace {

proto::Job Expanded(const char* preset) {
  proto::Job job;
  job.set_preset(preset);
  ExpandPreset(&job);
  return job;
}

TEST(PresetsTest, EveryPresetGivesStages) {
  for (const std::string& name : PresetNames()) {
    const proto::Job job = Expanded(name.c_str());
    EXPECT_FALSE(job.has_preset()) << name;
    EXPECT_EQ(job.expanded_from(), name);
    EXPECT_GT(job.stages_size(), 0) << name;
  }
}

TEST(PresetsTest, FollowsTheTableOfTheMethod) {
  const proto::Job lolcats = Expanded("lolcats");
  ASSERT_EQ(lolcats.stages_size(), 2);
  EXPECT_EQ(lolcats.stages(0).transfer().loss().mse(), 1000);
  EXPECT_EQ(lolcats.stages(0).transfer().student_mode(), proto::HYBRID);
  EXPECT_EQ(lolcats.stages(1).finetune().student_mode(), proto::HYBRID);
  EXPECT_FALSE(lolcats.stages(1).finetune().train_window_factors());

  const proto::Job control = Expanded("swa_control");
  ASSERT_EQ(control.stages_size(), 1);
  EXPECT_EQ(control.stages(0).finetune().student_mode(), proto::SWA_ONLY);

  const proto::Job hedgehog = Expanded("hedgehog");
  EXPECT_EQ(hedgehog.stages(0).transfer().loss().xent(), 1);
  EXPECT_FALSE(hedgehog.stages(0).transfer().loss().has_mse());
  EXPECT_EQ(hedgehog.stages(1).finetune().student_mode(), proto::LA_ONLY);

  const proto::Job ssd = Expanded("ssd");
  EXPECT_TRUE(ssd.stages(1).finetune().train_window_factors());
  ASSERT_EQ(ssd.stages(1).finetune().curriculum().drop().step_size(), 3);
  EXPECT_EQ(ssd.stages(1).finetune().curriculum().drop().step(0), 0.9);

  const proto::Job hedgecats = Expanded("hedgecats");
  EXPECT_TRUE(hedgecats.stages(1).finetune().train_window_factors());
  EXPECT_EQ(hedgecats.stages(1).finetune().early_stop().rule(),
            proto::EarlyStop::COMPONENT_AWARE);

  EXPECT_EQ(Expanded("inference_hybrid").evaluation().eval_mode(),
            proto::HYBRID);
}

TEST(PresetsTest, TheJobsOwnFieldsWin) {
  proto::Job job;
  job.set_preset("inference_hybrid");
  job.set_seed(5);
  job.mutable_evaluation()->add_gamma_override(0.3);
  ExpandPreset(&job);
  EXPECT_EQ(job.seed(), 5u);
  ASSERT_EQ(job.evaluation().gamma_override_size(), 1);
  EXPECT_EQ(job.evaluation().gamma_override(0), 0.3);
}

// The curriculum of the last stage of a preset, under one of the job.
proto::Curriculum CurriculumOf(const char* preset, const char* curriculum) {
  proto::Job job;
  job.set_preset(preset);
  CARACAL_CHECK(google::protobuf::TextFormat::ParseFromString(
      curriculum, job.mutable_curriculum()))
      << curriculum;
  ExpandPreset(&job);
  EXPECT_FALSE(job.has_curriculum());
  return job.stages(job.stages_size() - 1).finetune().curriculum();
}

TEST(PresetsTest, ACurriculumIsLaidOverThePresets) {
  const auto text = [](const char* preset, const char* curriculum) {
    return CurriculumOf(preset, curriculum).ShortDebugString();
  };
  const std::string drop = "drop { step: 0.9 step: 0.75 step: 0.5 }";
  EXPECT_EQ(text("ssd", ""), drop);
  EXPECT_EQ(text("ssd", "drop_mode: LA_PAST"), drop + " drop_mode: LA_PAST");
  EXPECT_EQ(text("ssd", "granularity: STEP"), drop + " granularity: STEP");
  EXPECT_EQ(text("ssd", "window { constant: 8 }"),
            drop + " window { constant: 8 }");
  EXPECT_EQ(text("ssd", "closed_loop { every: 4 }"),
            drop + " closed_loop { every: 4 }");
  // Schedules of other shapes, and of other lengths, take its place.
  EXPECT_EQ(text("ssd", "drop { constant: 0 }"), "drop { constant: 0 }");
  EXPECT_EQ(text("ssd", "drop { step: 0.4 } drop_mode: LA_PAST"),
            "drop { step: 0.4 } drop_mode: LA_PAST");
  // As the study's closed loop gives it.
  EXPECT_EQ(text("ssd", "drop { constant: 0.5 } closed_loop { every: 4 }"),
            "drop { constant: 0.5 } closed_loop { every: 4 }");
  EXPECT_EQ(text("swa_control", "window { constant: 8 }"),
            "window { constant: 8 }");
}

TEST(PresetsTest, LeavesOtherJobsAlone) {
  proto::Job unknown;
  unknown.set_preset("lolcat");
  ExpandPreset(&unknown);
  EXPECT_EQ(unknown.preset(), "lolcat");
  EXPECT_EQ(unknown.stages_size(), 0);

  proto::Job both;
  both.set_preset("lolcats");
  both.add_stages()->mutable_finetune();
  ExpandPreset(&both);
  EXPECT_EQ(both.preset(), "lolcats");
  EXPECT_EQ(both.stages_size(), 1);
}

}  // namespace
}  // namespace caracal
