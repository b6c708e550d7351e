#include "jobs/spec/fingerprint.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <string>

#include "jobs/spec/expand.h"

namespace caracal {
namespace {

using ::testing::ElementsAre;

proto::Job Base() {
  proto::Job job;
  job.set_preset("lolcats");
  job.mutable_budget()->set_transfer_steps(3);
  job.mutable_budget()->set_finetune_steps(2);
  job.mutable_model()->set_path("/a/m.gguf");
  return ExpandJob(job);
}

TEST(FingerprintTest, IsTheSameOnEveryMachine) {
  EXPECT_EQ(JobFingerprint(Base()).size(), 32u);
  EXPECT_EQ(JobFingerprint(Base()), JobFingerprint(Base()));
  // A change of this value makes existing runs impossible to resume.
  EXPECT_EQ(JobFingerprint(Base()), "c2b55b853c3ebef99d6e2f69007c3fad");
}

TEST(FingerprintTest, IgnoresWhatMayChangeOnResume) {
  proto::Job job = Base();
  job.set_name("other");
  job.set_device("cuda");
  job.set_threads(7);
  job.mutable_parallel()->set_data(2);
  job.mutable_slurm()->set_partition("gpu");
  job.mutable_budget()->set_micro_batch(1);
  job.mutable_checkpoint()->set_every_seconds(1);
  job.mutable_evaluation()->set_rows(99);
  job.mutable_model()->set_path("/b/m.gguf");
  job.mutable_data()->set_path("/b/d.h5");
  EXPECT_EQ(JobFingerprint(job), JobFingerprint(Base()));
  EXPECT_THAT(JobDifferences(Base(), job), ElementsAre());
}

TEST(FingerprintTest, SeesWhatGammaIsChosenFrom) {
  proto::Job job = Base();
  job.mutable_evaluation()->add_gamma_override(0.5);
  EXPECT_NE(JobFingerprint(job), JobFingerprint(Base()));
  proto::Job other = job;
  other.mutable_evaluation()->add_gamma_override(0.9);
  EXPECT_THAT(JobDifferences(job, other),
              ElementsAre("evaluation.gamma_override[1]: was the default or "
                          "unset, is 0.9"));
  other = job;
  other.mutable_evaluation()->set_rows(99);
  EXPECT_EQ(JobFingerprint(job), JobFingerprint(other));
}

// A job of before there were groups goes on as it was.
TEST(FingerprintTest, GroupsThatDecayAsAllSayNothing) {
  proto::Job job = Base();
  job.mutable_optimizer()->clear_group_weight_decay();
  EXPECT_EQ(JobFingerprint(job), JobFingerprint(Base()));
  proto::Job decay;
  decay.mutable_optimizer()->set_weight_decay(0.1);
  decay = ExpandJob(decay);
  job = decay;
  job.mutable_optimizer()->clear_group_weight_decay();
  EXPECT_EQ(JobFingerprint(job), JobFingerprint(decay));
  job = decay;
  job.mutable_optimizer()->mutable_group_weight_decay()->set_lora(0);
  EXPECT_THAT(JobDifferences(decay, job),
              ElementsAre("optimizer.group_weight_decay.lora: was the default "
                          "or unset, is 0"));
}

TEST(FingerprintTest, SeesWhatDecidesTheResult) {
  proto::Job job = Base();
  job.mutable_attention()->set_window(32);
  job.set_seed(1);
  job.mutable_stages(0)->mutable_transfer()->set_lr(0.5);
  job.mutable_stages(1)
      ->mutable_finetune()
      ->mutable_schedule()
      ->mutable_constant();
  EXPECT_NE(JobFingerprint(job), JobFingerprint(Base()));
  EXPECT_THAT(
      JobDifferences(Base(), job),
      ElementsAre(
          "attention.window: was the default or unset, is 32",
          "seed: was the default or unset, is 1",
          "stages[0].transfer.lr: was the default or unset, is 0.5",
          "stages[1].finetune.schedule.constant: was the default or unset, is "
          "{...}",
          "stages[1].finetune.schedule.plateau: was {...}, is the default or "
          "unset"));
}

TEST(FingerprintTest, DefaultsCountAsAbsent) {
  proto::Job job = Base();
  job.mutable_attention()->clear_window();
  job.clear_optimizer();
  EXPECT_EQ(JobFingerprint(job), JobFingerprint(Base()));
}

// Blocks that switch something on by being there. Fingerprints are blind to
// them where all in them is default, and stay so: runs have them saved.
TEST(FingerprintTest, DifferencesSeeWhatIsSwitchedOn) {
  proto::Job stopping = Base();
  stopping.mutable_stages(0)->mutable_transfer()->mutable_early_stop();
  stopping = ExpandJob(stopping);
  EXPECT_EQ(JobFingerprint(stopping), JobFingerprint(Base()));
  EXPECT_NE(JobFingerprintButForSeed(stopping),
            JobFingerprintButForSeed(Base()));
  EXPECT_THAT(JobDifferences(Base(), stopping),
              ElementsAre("stages[0].transfer.early_stop: was the default or "
                          "unset, is {...}"));
  EXPECT_THAT(JobDifferences(stopping, stopping), ElementsAre());

  proto::Job ssd;
  ssd.set_preset("ssd");
  proto::Job steered = ssd;
  steered.mutable_curriculum()->mutable_closed_loop();
  ssd = ExpandJob(ssd);
  steered = ExpandJob(steered);
  EXPECT_NE(JobFingerprintButForSeed(ssd), JobFingerprintButForSeed(steered));
  EXPECT_THAT(JobDifferences(ssd, steered),
              ElementsAre("stages[1].finetune.curriculum.closed_loop: was the "
                          "default or unset, is {...}"));
  // What else it says is told as before.
  proto::Job slower = steered;
  slower.mutable_stages(1)
      ->mutable_finetune()
      ->mutable_curriculum()
      ->mutable_closed_loop()
      ->set_every(30);
  EXPECT_THAT(JobDifferences(ssd, slower),
              ElementsAre("stages[1].finetune.curriculum.closed_loop.every: "
                          "was the default or unset, is 30"));
}

// Of runs saved so far, whose folders hold expanded jobs.
TEST(FingerprintTest, OfPresetsIsWhatSavedRunsHave) {
  const auto fingerprint = [](const char* preset, bool steered) {
    proto::Job job;
    job.set_preset(preset);
    if (steered) {
      job.mutable_curriculum()->mutable_drop()->set_constant(0.5);
      job.mutable_curriculum()->mutable_closed_loop()->set_every(4);
    }
    return JobFingerprint(ExpandJob(job));
  };
  EXPECT_EQ(fingerprint("ssd", false), "335e75b4732b29e2076442624bba332b");
  EXPECT_EQ(fingerprint("ssd", true), "eefe93f57f7368ecbe72f0ede2d16ae4");
  EXPECT_EQ(fingerprint("hedgecats", false),
            "646ccf6506b0a6d7beba9e36422abffb");
}

TEST(FingerprintTest, ButForSeedSeesEverythingElse) {
  const std::string base = JobFingerprintButForSeed(Base());
  EXPECT_EQ(base.size(), 32u);
  proto::Job job = Base();
  job.set_seed(8);
  job.set_name("seed8");
  job.set_threads(2);
  job.mutable_evaluation()->set_rows(99);
  EXPECT_NE(JobFingerprint(job), JobFingerprint(Base()));
  EXPECT_EQ(JobFingerprintButForSeed(job), base);
  job.mutable_attention()->set_window(32);
  EXPECT_NE(JobFingerprintButForSeed(job), base);
  // Trained on other text, or another model: more than a seed apart.
  job = Base();
  job.mutable_data()->set_path("/b/d.h5");
  EXPECT_NE(JobFingerprintButForSeed(job), base);
  job = Base();
  job.mutable_model()->set_path("/b/m.gguf");
  EXPECT_NE(JobFingerprintButForSeed(job), base);
}

TEST(FingerprintTest, RanksShareWhateverMakesThemWorkTogether) {
  const auto fields = [](const proto::Job& job) {
    const auto all = FieldsOfGang(ExpandJob(job));
    return std::map<std::string, std::string>(all.begin(), all.end());
  };
  proto::Job job;
  job.set_preset("lolcats");
  const auto before = fields(job);
  job.set_threads(3);
  job.mutable_model()->set_path("elsewhere");
  job.mutable_data()->set_path("elsewhere");
  EXPECT_EQ(fields(job), before);
  job.mutable_budget()->set_micro_batch(2);
  job.mutable_parallel()->set_tensor(2);
  job.mutable_checkpoint()->set_every_seconds(300);
  job.mutable_validation()->set_rows(3);
  const auto after = fields(job);
  EXPECT_EQ(after.at("budget.micro_batch"), "2");
  EXPECT_EQ(after.at("parallel.tensor"), "2");
  EXPECT_EQ(after.at("checkpoint.every_seconds"), "300");
  EXPECT_EQ(after.at("validation.rows"), "3");
}

}  // namespace
}  // namespace caracal
