#include "jobs/client/job_facts.h"

#include <gtest/gtest.h>

#include "core/base/status_matchers.h"
#include "core/base/temporary_folder.h"
#include "jobs/client/testing/tiny_model.h"
#include "jobs/spec/expand.h"

namespace caracal {
namespace {

using ::testing::HasSubstr;

class JobFactsTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_OK(WriteTinyModel(folder_.File("model")));
    ASSERT_OK(WriteTinyData(folder_.File("train.h5"), 10, 64));
    ASSERT_OK(WriteTinyData(folder_.File("heldout.h5"), 3, 64));
    proto::Job job;
    job.set_preset("lolcats");
    job.mutable_model()->set_path(folder_.File("model"));
    job.mutable_data()->set_path(folder_.File("train.h5"));
    job.mutable_data()->set_validation(folder_.File("heldout.h5"));
    job.mutable_budget()->set_transfer_steps(5);
    job.mutable_budget()->set_finetune_steps(2);
    job.mutable_budget()->set_batch(4);
    job.mutable_lora()->set_rank(2);
    job_ = ExpandJob(job);
  }

  TemporaryFolder folder_;
  proto::Job job_;
};

TEST_F(JobFactsTest, CountsParametersAndTokens) {
  ASSERT_OK_AND_ASSIGN(const JobFacts facts, GatherJobFacts(job_));
  EXPECT_EQ(facts.rows, 10);
  EXPECT_EQ(facts.row_tokens, 64);
  EXPECT_EQ(facts.validation_rows, 3);
  EXPECT_EQ(facts.step_tokens, 4 * 64);
  EXPECT_EQ(facts.model_parameters,
            32 * 64 + 64 +  // embeddings, last norm
                2 * (2 * 64 + 2 * 64 * 64 + 2 * 64 * 32 + 3 * 64 * 96));
  ASSERT_EQ(facts.stages.size(), 2u);
  EXPECT_EQ(facts.stages[0].steps, 5);
  EXPECT_EQ(facts.stages[0].tokens, 5 * 4 * 64);
  EXPECT_EQ(facts.stages[0].passes, 2);
  // Two feature maps of 4 heads x 16 x 16 and 4 window factors a layer.
  EXPECT_EQ(facts.stages[0].trained_parameters, 2 * (2 * 4 * 16 * 16 + 4));
  // Rank 2 on q, o (64 -> 64) and k, v (64 -> 32).
  EXPECT_EQ(facts.stages[1].trained_parameters,
            2 * 2 * (2 * (64 + 64) + 2 * (64 + 32)));
  EXPECT_EQ(facts.tokens, 7 * 4 * 64);
  EXPECT_EQ(facts.weight_bytes, 4u * facts.model_parameters);
  EXPECT_EQ(facts.training_bytes, 16u * facts.stages[0].trained_parameters);
}

TEST_F(JobFactsTest, FollowsFeaturesProjectionsAndSeqLen) {
  job_.mutable_attention()->set_features(32);
  job_.mutable_data()->set_seq_len(16);
  job_.mutable_lora()->clear_projections();
  job_.mutable_lora()->add_projections("gate");
  job_.mutable_lora()->add_projections("down");
  ASSERT_OK_AND_ASSIGN(const JobFacts facts, GatherJobFacts(job_));
  EXPECT_EQ(facts.step_tokens, 4 * 16);
  EXPECT_EQ(facts.stages[0].trained_parameters, 2 * (2 * 4 * 16 * 32 + 4));
  EXPECT_EQ(facts.stages[1].trained_parameters, 2 * 2 * 2 * (64 + 96));
}

// Their maps are never looked at; LoRA is in every layer.
TEST_F(JobFactsTest, LayersKeptAsSoftmaxTrainNoMaps) {
  const ModelConfig model = {.layers = 3, .heads = 4, .head_dim = 8};
  proto::Job job;
  job.mutable_attention()->set_features(8);
  proto::Stage stage;
  stage.mutable_transfer()->set_train_feature_maps(true);
  const int64_t all = TrainedParameters(job, stage, model);
  EXPECT_EQ(all, 3 * 2 * 4 * 8 * 8);
  job.mutable_attention()->add_softmax_layers(1);
  EXPECT_EQ(TrainedParameters(job, stage, model), all / 3 * 2);
  stage.mutable_finetune()->set_train_lora(true);
  job.mutable_lora()->set_rank(2);
  job.mutable_lora()->add_projections("q");
  const int64_t with = TrainedParameters(job, stage, model);
  job.mutable_attention()->clear_softmax_layers();
  EXPECT_EQ(TrainedParameters(job, stage, model), with);
}

TEST_F(JobFactsTest, CountsSharedMapsAndBiases) {
  proto::Attention* attention = job_.mutable_attention();
  attention->set_feature_bias(true);
  ASSERT_OK_AND_ASSIGN(JobFacts facts, GatherJobFacts(job_));
  EXPECT_EQ(facts.stages[0].trained_parameters,
            2 * (2 * 4 * (16 * 16 + 16) + 4));
  attention->set_tied_feature_maps(true);
  ASSERT_OK_AND_ASSIGN(facts, GatherJobFacts(job_));
  EXPECT_EQ(facts.stages[0].trained_parameters, 2 * (4 * (16 * 16 + 16) + 4));
  attention->set_feature_map("hedgehog_fla");
  ASSERT_OK_AND_ASSIGN(facts, GatherJobFacts(job_));
  EXPECT_EQ(facts.stages[0].trained_parameters, 2 * (16 * 16 + 16 + 4));
}

TEST_F(JobFactsTest, NamesFilesThatDoNotFit) {
  proto::Job empty = job_;
  ASSERT_OK(WriteTinyData(folder_.File("empty.h5"), 0, 64));
  empty.mutable_data()->set_path(folder_.File("empty.h5"));
  EXPECT_THAT(
      GatherJobFacts(empty),
      StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("empty.h5")));
  proto::Job other = job_;
  other.mutable_data()->set_path(folder_.File("model/config.json"));
  EXPECT_THAT(
      GatherJobFacts(other),
      StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("config.json")));
}

}  // namespace
}  // namespace caracal
