#include "jobs/spec/presets.h"

#include <gtest/gtest.h>

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

  proto::Job ssd;
  ssd.set_preset("ssd");
  ssd.mutable_curriculum()->mutable_drop()->set_constant(0.5);
  ExpandPreset(&ssd);
  EXPECT_FALSE(ssd.stages(1).finetune().has_curriculum());
  EXPECT_TRUE(ssd.has_curriculum());
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
