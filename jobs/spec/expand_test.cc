#include "jobs/spec/expand.h"

#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>

#include "jobs/spec/presets.h"

namespace caracal {
namespace {

proto::Job Expand(const char* text) {
  proto::Job job;
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(text, &job));
  return ExpandJob(job);
}

TEST(ExpandTest, WritesOutTheRecipe) {
  const proto::Job job = Expand(
      "preset: 'lolcats' budget { transfer_steps: 32 finetune_steps: 16 }");
  ASSERT_EQ(job.stages_size(), 2);
  const proto::TransferStage& transfer = job.stages(0).transfer();
  EXPECT_EQ(transfer.steps(), 32);
  EXPECT_EQ(transfer.lr(), 0.01);
  EXPECT_EQ(transfer.loss().mse(), 1000);
  EXPECT_EQ(transfer.loss().xent(), 0);
  EXPECT_TRUE(transfer.loss().has_xent());
  EXPECT_TRUE(transfer.train_window_factors());
  EXPECT_EQ(transfer.schedule().plateau().patience(), 10);
  const proto::FinetuneStage& finetune = job.stages(1).finetune();
  EXPECT_EQ(finetune.steps(), 16);
  EXPECT_EQ(finetune.lr(), 1e-4);
  EXPECT_EQ(finetune.loss().lm(), 1);
  EXPECT_FALSE(finetune.train_window_factors());
  EXPECT_EQ(job.optimizer().beta2(), 0.999);
  EXPECT_EQ(job.optimizer().weight_decay(), 0);
  EXPECT_EQ(job.optimizer().grad_clip(), 1);
  EXPECT_FALSE(job.budget().has_transfer_steps());
  EXPECT_EQ(job.budget().batch(), 8);
  EXPECT_EQ(job.budget().micro_batch(), 8);
  EXPECT_FALSE(job.attention().has_features());
}

TEST(ExpandTest, IsIdempotent) {
  for (const std::string& preset : PresetNames()) {
    proto::Job job;
    job.set_preset(preset);
    job.mutable_budget()->set_transfer_steps(3);
    job.mutable_budget()->set_finetune_steps(4);
    const proto::Job once = ExpandJob(job);
    EXPECT_EQ(ExpandJob(once).SerializeAsString(), once.SerializeAsString())
        << preset;
  }
}

TEST(ExpandTest, ShorthandsFillOnlyWhatIsUnset) {
  const proto::Job job = Expand(R"(
      stages { transfer { steps: 5 } }
      stages { transfer { schedule { constant {} } } }
      stages { finetune {} }
      budget { transfer_steps: 7 finetune_steps: 9 }
      schedule { cosine { to: 0 } warmup_steps: 2 }
      curriculum { drop { constant: 0.5 } })");
  EXPECT_EQ(job.stages(0).transfer().steps(), 5);
  EXPECT_TRUE(job.stages(0).transfer().schedule().has_cosine());
  EXPECT_EQ(job.stages(1).transfer().steps(), 7);
  EXPECT_TRUE(job.stages(1).transfer().schedule().has_constant());
  EXPECT_EQ(job.stages(2).finetune().steps(), 9);
  EXPECT_EQ(job.stages(2).finetune().schedule().warmup_steps(), 2);
  EXPECT_EQ(job.stages(2).finetune().curriculum().drop().constant(), 0.5);
  EXPECT_EQ(job.stages(2).finetune().curriculum().drop_mode(), proto::LA_ONLY);
  EXPECT_FALSE(job.has_schedule());
  EXPECT_FALSE(job.has_curriculum());
}

TEST(ExpandTest, GroupsDecayAsAllUnlessTheySay) {
  const proto::GroupWeightDecay decay =
      Expand(
          "optimizer { weight_decay: 0.1 "
          "group_weight_decay { window_factors: 0 } }")
          .optimizer()
          .group_weight_decay();
  EXPECT_EQ(decay.feature_maps(), 0.1);
  EXPECT_EQ(decay.feature_biases(), 0.1);
  EXPECT_EQ(decay.lora(), 0.1);
  EXPECT_TRUE(decay.has_window_factors());
  EXPECT_EQ(decay.window_factors(), 0);
  EXPECT_TRUE(Expand("").optimizer().group_weight_decay().has_lora());
}

TEST(ExpandTest, WindowFactorsOnlyLearnWhereTheyMatter) {
  EXPECT_FALSE(Expand("stages { transfer { student_mode: LA_ONLY } }")
                   .stages(0)
                   .transfer()
                   .train_window_factors());
}

TEST(ExpandTest, MicroBatchIsARanksShare) {
  EXPECT_EQ(Expand("budget { batch: 12 } parallel { data: 3 }")
                .budget()
                .micro_batch(),
            4);
}

TEST(ExpandTest, SinksOnlyIsReportedWhereThereAreSinks) {
  const auto has_sinks_only = [](const proto::Job& job) {
    for (const int mode : job.evaluation().modes()) {
      if (mode == proto::SINKS_ONLY) return true;
    }
    return false;
  };
  EXPECT_FALSE(has_sinks_only(Expand("")));
  EXPECT_TRUE(has_sinks_only(Expand("attention { sinks: 4 }")));
}

TEST(ExpandTest, LayersOfFineTuningAreWrittenOut) {
  proto::Job job;
  job.set_preset("lolcats");
  job.mutable_budget()->set_batch(8);
  job.mutable_budget()->set_transfer_steps(1);
  job.mutable_budget()->set_finetune_steps(1);
  job.mutable_parallel()->set_layer(2);
  const proto::Job expanded = ExpandJob(job);
  EXPECT_EQ(expanded.parallel().finetune().data(), 2);
  EXPECT_EQ(expanded.parallel().finetune().tensor(), 1);
  // 8 rows of a transfer rank, 4 of a fine-tuning one.
  EXPECT_EQ(expanded.budget().micro_batch(), 4);
  job.clear_parallel();
  EXPECT_FALSE(ExpandJob(job).parallel().has_finetune());
}

}  // namespace
}  // namespace caracal
