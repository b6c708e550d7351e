// Distillation from the teacher's next-token distribution: its gradient along
// random directions by central differences, and its zero.
#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "core/base/status_matchers.h"
#include "jobs/train/make_stage_runner.h"
#include "tests/training/tiny_training.h"

namespace caracal {
namespace {

class LogitKlTest : public testing::TestWithParam<bool> {
 protected:
  void SetUp() override {
    ASSERT_OK_AND_ASSIGN(training_, TinyTraining::Make("lolcats", 2));
    ASSERT_OK(training_->Fill(0));
    stage_ = training_->job().stages(1);
    proto::FinetuneLoss& loss = *stage_.mutable_finetune()->mutable_loss();
    loss.set_lm(0.25);
    loss.set_logit_kl(1.5);
    loss.set_logit_kl_direction(GetParam() ? proto::FinetuneLoss::REVERSE
                                           : proto::FinetuneLoss::FORWARD);
    // A student away from its teacher, LoRA included.
    uint64_t state = 1;
    for (const Parameter& p : store().parameters()) {
      for (int64_t i = 0; i < p.value.size(); ++i) {
        state = state * 6364136223846793005u + 1442695040888963407u;
        p.value.f32()[i] +=
            0.2f * (static_cast<float>(state >> 40) / (1 << 24) - 0.5f);
      }
    }
  }

  ParameterStore& store() { return training_->llama().adapters().parameters(); }

  // Loss, and the gradients in the store; a rate of 0 moves nothing.
  double Loss(StepResult* parts = nullptr, int64_t micro_batch = 2) {
    const auto runner =
        MakeStageRunner(stage_, training_->job(), &training_->llama(),
                        training_->exec(), &training_->gang(), micro_batch);
    const auto result = runner->Step(training_->batch(), {.learning_rate = 0});
    EXPECT_OK(result);
    if (parts != nullptr) *parts = *result;
    return result->loss;
  }

  std::unique_ptr<TinyTraining> training_;
  proto::Stage stage_;
};

TEST_P(LogitKlTest, GradientMatchesCentralDifferences) {
  // Clipping would scale what is compared.
  proto::Job job = training_->job();
  job.mutable_optimizer()->set_grad_clip(0);
  const auto loss = [&] {
    const auto runner =
        MakeStageRunner(stage_, job, &training_->llama(), training_->exec(),
                        &training_->gang(), 2);
    const auto result = runner->Step(training_->batch(), {.learning_rate = 0});
    EXPECT_OK(result);
    return result->loss;
  };
  loss();
  for (const Parameter* p : store().trained()) {
    if (p->group != ParameterGroup::kLora) continue;
    loss();  // where all parameters are as they were
    // Along the gradient itself, where the difference is largest.
    const std::vector<float> gradient(p->grad.f32(),
                                      p->grad.f32() + p->grad.size());
    double norm = 0;
    for (const float g : gradient) norm += static_cast<double>(g) * g;
    norm = std::sqrt(norm);
    ASSERT_GT(norm, 0) << p->name;
    const std::vector<float> before(p->value.f32(),
                                    p->value.f32() + p->value.size());
    const auto slope = [&](double step) {
      double at[2];
      for (const int side : {0, 1}) {
        for (size_t i = 0; i < before.size(); ++i) {
          p->value.f32()[i] =
              before[i] +
              static_cast<float>((side ? step : -step) * gradient[i] / norm);
        }
        at[side] = loss();
      }
      return (at[1] - at[0]) / (2 * step);
    };
    // Richardson's extrapolation leaves the fifth derivative; what stays is
    // the rounding of fp32 losses, some 2e-6, over the smaller step.
    constexpr double kStep = 0.008;
    const double extrapolated = (4 * slope(kStep / 2) - slope(kStep)) / 3;
    std::copy(before.begin(), before.end(), p->value.f32());
    EXPECT_NEAR(extrapolated, norm, 1e-3 + 4e-3 * norm) << p->name;
  }
}

TEST_P(LogitKlTest, PartsAddUpAndMicroBatchesDoNotMatter) {
  StepResult whole, pieces;
  const double loss = Loss(&whole);
  EXPECT_NEAR(loss, 0.25 * whole.parts.lm + 1.5 * whole.parts.logit_kl, 1e-9);
  EXPECT_GT(whole.parts.logit_kl, 1e-3);
  Loss(&pieces, 1);
  EXPECT_NEAR(pieces.parts.logit_kl, whole.parts.logit_kl, 1e-6);
  EXPECT_NEAR(pieces.grad_norm, whole.grad_norm, 1e-4 * whole.grad_norm);
}

// Full softmax without adapters' effect is the teacher.
TEST_P(LogitKlTest, IsNothingForTheTeacherItself) {
  for (const Parameter& p : store().parameters()) {
    const bool is_b = p.name.back() == 'B';
    for (int64_t i = 0; is_b && i < p.value.size(); ++i) p.value.f32()[i] = 0;
  }
  stage_.mutable_finetune()->set_student_mode(proto::SOFTMAX);
  stage_.mutable_finetune()->mutable_loss()->set_lm(0);
  StepResult parts;
  EXPECT_NEAR(Loss(&parts), 0, 1e-7);
  EXPECT_NEAR(parts.grad_norm, 0, 1e-6);
}

INSTANTIATE_TEST_SUITE_P(Directions, LogitKlTest, testing::Bool(),
                         [](const auto& info) {
                           return info.param ? "reverse" : "forward";
                         });

}  // namespace
}  // namespace caracal
