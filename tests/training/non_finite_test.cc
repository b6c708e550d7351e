// A non-finite number stops a step and is reported by layer and tensor.
#include <gtest/gtest.h>

#include <cmath>

#include "core/base/status_matchers.h"
#include "jobs/train/make_stage_runner.h"
#include "tests/training/tiny_training.h"

namespace caracal {
namespace {

using testing::HasSubstr;

struct Case {
  const char* name;
  const char* preset;
  int stage;
};

class NonFinite : public testing::TestWithParam<Case> {
 protected:
  void SetUp() override {
    ASSERT_OK_AND_ASSIGN(training_, TinyTraining::Make(GetParam().preset, 2));
    runner_ = MakeStageRunner(training_->job().stages(GetParam().stage),
                              training_->job(), &training_->llama(),
                              training_->exec(), &training_->gang(), 2);
    ASSERT_OK(training_->Fill(0));
  }
  absl::Status Step() {
    return runner_->Step(training_->batch(), {.learning_rate = 1e-3}).status();
  }
  std::unique_ptr<TinyTraining> training_;
  std::unique_ptr<StageRunner> runner_;
};

TEST_P(NonFinite, WeightOfTheSecondLayer) {
  const LlamaWeights& w = training_->llama().weights();
  const_cast<float*>(w.layers[1].qkv.dense().f32())[5] = NAN;
  EXPECT_THAT(Step(), StatusIs(absl::StatusCode::kDataLoss,
                               HasSubstr("layer 1, q, k, v")));
}

TEST_P(NonFinite, Parameter) {
  ParameterStore& store = training_->llama().adapters().parameters();
  store.Find("layers.1.feature_map_k")->value.f32()[3] = INFINITY;
  EXPECT_THAT(Step(),
              StatusIs(absl::StatusCode::kDataLoss,
                       HasSubstr("layers.1.feature_map_k is not finite")));
}

// Nothing was updated, and the run can go on once the cause is gone.
TEST_P(NonFinite, LeavesTheParametersAlone) {
  const LlamaWeights& w = training_->llama().weights();
  float* weight = const_cast<float*>(w.layers[0].o.dense().f32());
  const float good = weight[0];
  ParameterStore& store = training_->llama().adapters().parameters();
  const float* values = store.parameters()[0].value.f32();
  const float before = values[0];
  weight[0] = INFINITY;
  EXPECT_FALSE(Step().ok());
  EXPECT_EQ(values[0], before);
  weight[0] = good;
  EXPECT_OK(Step());
}

INSTANTIATE_TEST_SUITE_P(Stages, NonFinite,
                         testing::Values(Case{"transfer", "lolcats", 0},
                                         Case{"transfer_of_weights", "hedgehog",
                                              0},
                                         Case{"finetune", "lolcats", 1}),
                         [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace caracal
