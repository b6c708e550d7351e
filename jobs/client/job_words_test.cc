#include "jobs/client/job_words.h"

#include <gmock/gmock.h>
#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>

#include "jobs/spec/expand.h"

namespace caracal {
namespace {

using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::Not;

proto::Job Expand(const char* text) {
  proto::Job job;
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(text, &job));
  return ExpandJob(job);
}

TEST(JobWordsTest, DescribesTheRecipe) {
  const proto::Job job = Expand("preset: 'lolcats'");
  const proto::Stage& transfer = job.stages(0);
  EXPECT_EQ(StageName(transfer), "transfer");
  EXPECT_EQ(StudentWords(transfer), "hybrid");
  EXPECT_EQ(LossWords(transfer), "1000 mse");
  EXPECT_EQ(TrainedWords(job, transfer), "feature maps, window factors");
  EXPECT_EQ(LearningRateWords(transfer),
            "0.01, times 0.1 after 10 validations without gain, at least "
            "1e-05");
  const proto::Stage& finetune = job.stages(1);
  EXPECT_EQ(LossWords(finetune), "lm");
  EXPECT_EQ(TrainedWords(job, finetune), "LoRA of rank 8, alpha 16 on q k v o");
  EXPECT_EQ(EarlyStopWords(finetune), "");
  EXPECT_EQ(AttentionWords(job, 64),
            "sliding window of 64 tokens, no sinks, hedgehog feature maps "
            "with 64 columns, identity and gamma 0.1 at first");
  EXPECT_EQ(FinishedWords(job), "");
  EXPECT_EQ(OptimizerWords(job),
            "AdamW, betas 0.9 and 0.999, eps 1e-08, weight decay 0, gradients "
            "clipped to norm 1");
  EXPECT_EQ(ValidationWords(job), "none: no held-out data");
  EXPECT_EQ(CheckpointWords(job),
            "at the end of each stage, every 5 min 00 s; the newest 2 and the "
            "best are kept");
  EXPECT_EQ(DeviceWords(job), "auto, a thread a core");
  EXPECT_EQ(SlurmWords(job), "");
  EXPECT_EQ(ReportWords(job),
            "16 rows in teacher, teacher_swa, hybrid, swa_only, la_only, "
            "la_past, none; teacher_swa with 0 and 4 sinks beside them; "
            "intervals from 1,000 bootstrap samples");
}

TEST(JobWordsTest, DescribesWhatIsAskedOfSlurm) {
  EXPECT_EQ(SlurmWords(Expand("slurm { partition: 'gpu' time: '2-0' }")),
            "as gangs of a coordinator: sbatch --partition=gpu --time=2-0");
}

TEST(JobWordsTest, DescribesCurriculaAndSchedules) {
  const proto::Job job = Expand(R"(
      stages { finetune {
        loss { lm: 1 logit_kl: 0.5 }
        schedule { warmup_steps: 1 cosine { to: 1e-5 } }
        early_stop { rule: COMPONENT_AWARE patience: 1 }
        curriculum {
          drop { step: [0.9, 0.5] } granularity: HEAD
          window { linear { from: 128 to: 64 } } closed_loop {}
        } } }
      data { validation: 'v' } validation { every_steps: 1 rows: 1 }
      attention { sinks: 1 affine: true }
      parallel { data: 2 } threads: 1)");
  const proto::Stage& stage = job.stages(0);
  EXPECT_EQ(
      StudentWords(stage),
      "hybrid, la_only with probability p per head, window 128 to 64 in a "
      "line, p steered to r = 0.9 every 20 steps (gain 0.25, p 0.9 at "
      "first, 0 to 0.95, smoothing 0.5)");
  EXPECT_EQ(LossWords(stage), "1 lm + 0.5 logit_kl");
  EXPECT_EQ(LearningRateWords(stage),
            "0.0001 after 1 warm-up step, along a cosine to 1e-05");
  EXPECT_EQ(EarlyStopWords(stage),
            "after 1 validation without gain in loss and use of the linear "
            "part (lambda 0.5)");
  EXPECT_EQ(ValidationWords(job),
            "loss on 1 row every 1 step and at the end of each stage");
  EXPECT_EQ(AttentionWords(job, 32),
            "sliding window of 64 tokens, 1 sink, hedgehog feature maps with "
            "32 columns, identity and gamma 0.1 at first, affine");
  EXPECT_EQ(OptimizerWords(Expand("optimizer { weight_decay: 0.1 "
                                  "group_weight_decay { window_factors: 0 "
                                  "lora: 0.01 feature_maps: 0.1 } }")),
            "AdamW, betas 0.9 and 0.999, eps 1e-08, weight decay 0.1 (window "
            "factors 0, LoRA 0.01), gradients clipped to norm 1");
  EXPECT_EQ(AttentionWords(Expand("attention { window_kind: 'terraced' "
                                  "compat: LOLCATS_REFERENCE }"),
                           64),
            "terraced window of 64 tokens, no sinks, hedgehog feature maps "
            "with 64 columns, identity and gamma 0.1 at first, with the faults "
            "of LoLCATs' code");
  EXPECT_EQ(
      AttentionWords(Expand("attention { half_space: true tied_feature_maps: "
                            "true feature_bias: true feature_init: 'kaiming' "
                            "gamma_init: 0.5 }"),
                     64),
      "sliding window of 64 tokens, no sinks, hedgehog feature maps with 64 "
      "columns, first half only, with biases, the same for queries and keys, "
      "kaiming and gamma 0.5 at first");
  EXPECT_THAT(ReportWords(job), Not(HasSubstr("probe")));
  proto::Job probing = job;
  probing.mutable_evaluation()->mutable_probe()->set_samples(8);
  EXPECT_THAT(ReportWords(ExpandJob(probing)),
              EndsWith("; probes passkey, recall at 256, 512, 1024 tokens, 8 "
                       "prompts each"));
  EXPECT_EQ(DeviceWords(job), "auto, 1 thread");
}

// What tells the presets from each other.
TEST(JobWordsTest, EveryPresetIsToldApart) {
  const proto::Job swept = Expand("preset: 'inference_hybrid'");
  EXPECT_EQ(FinishedWords(swept),
            "hybrid, with the gamma of least validation loss in every head, of "
            "0.02, 0.1, 0.3, 0.5, 0.8, 0.9, 0.95, 0.98, 0.99");
  EXPECT_EQ(FinishedWords(Expand("preset: 'inference_hybrid' "
                                 "evaluation { gamma_override: 0.7 }")),
            "hybrid, with gamma 0.7 in every head");
  EXPECT_EQ(FinishedWords(Expand("preset: 'lolcats' "
                                 "evaluation { eval_mode: SWA_ONLY }")),
            "swa_only");
  EXPECT_EQ(FinishedWords(Expand("preset: 'hedgehog'")), "");
  EXPECT_THAT(StageSummary(swept.stages(0)),
              HasSubstr("the teacher's attention weights."));
  EXPECT_THAT(StageSummary(Expand("preset: 'ssd'").stages(0)),
              HasSubstr("the teacher's attention outputs."));
  EXPECT_THAT(StageSummary(Expand("stages { transfer { loss { mse: 1 kl: 1 } "
                                  "} }")
                               .stages(0)),
              HasSubstr("the teacher's attention outputs and weights."));
}

TEST(JobWordsTest, TellsACurriculumLaidOverAPresets) {
  const auto words = [](const std::string& preset, const std::string& text) {
    const std::string job =
        "preset: '" + preset + "' curriculum { " + text + " }";
    return StudentWords(Expand(job.c_str()).stages(1));
  };
  EXPECT_EQ(words("ssd", "drop_mode: LA_PAST granularity: LAYER"),
            "hybrid, la_past with probability 0.9, then 0.75, then 0.5 per "
            "layer");
  EXPECT_EQ(words("ssd", "closed_loop {}"),
            "hybrid, la_only with probability p per sample_layer, p steered to "
            "r = 0.9 every 20 steps (gain 0.25, p 0.9 at first, 0 to 0.95, "
            "smoothing 0.5)");
  // Clamped; and as the study runs it.
  EXPECT_THAT(words("ssd", "closed_loop { p_max: 0.5 }"),
              HasSubstr(", p 0.5 at first, 0 to 0.5, "));
  EXPECT_THAT(words("ssd", "drop { constant: 0.5 } closed_loop {}"),
              HasSubstr(", p 0.5 at first, 0 to 0.95, "));
  // Without a schedule, and of every shape of one.
  EXPECT_THAT(words("lolcats", "closed_loop { p_min: 0.1 }"),
              HasSubstr(", p 0.1 at first, 0.1 to 0.95, "));
  EXPECT_THAT(
      words("ssd", "drop { linear { from: 0.3 to: 1 } } closed_loop {}"),
      HasSubstr(", p 0.3 at first, "));
  EXPECT_THAT(
      words("ssd", "drop { cosine { from: 0.2 to: 1 } } closed_loop {}"),
      HasSubstr(", p 0.2 at first, "));
}

}  // namespace
}  // namespace caracal
