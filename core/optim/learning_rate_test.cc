#include "core/optim/learning_rate.h"

#include <gtest/gtest.h>

namespace caracal {
namespace {

TEST(LearningRate, WarmupThenShape) {
  ScheduleSettings s{.shape = ScheduleShape::kLinear,
                     .peak = 1.0,
                     .steps = 12,
                     .warmup_steps = 2};
  PlateauState none;
  EXPECT_DOUBLE_EQ(LearningRate(s, none, 0), 0.5);
  EXPECT_DOUBLE_EQ(LearningRate(s, none, 1), 1.0);
  EXPECT_DOUBLE_EQ(LearningRate(s, none, 2), 1.0);
  EXPECT_DOUBLE_EQ(LearningRate(s, none, 11), 0.0);
  s.shape = ScheduleShape::kCosine;
  s.decay_to = 0.2;
  EXPECT_DOUBLE_EQ(LearningRate(s, none, 2), 1.0);
  EXPECT_NEAR(LearningRate(s, none, 11), 0.2, 1e-12);
  s.shape = ScheduleShape::kConstant;
  EXPECT_DOUBLE_EQ(LearningRate(s, none, 11), 1.0);
}

// The sequence torch.optim.lr_scheduler.ReduceLROnPlateau(factor=0.1,
// patience=2, min_lr=1e-5) gives for these losses from lr 1e-2.
TEST(LearningRate, PlateauAsTorch) {
  ScheduleSettings s{.shape = ScheduleShape::kPlateau, .peak = 1e-2};
  s.plateau_patience = 2;
  PlateauState state;
  const double losses[] = {1.0, 0.9, 0.9, 0.9, 0.9, 0.9, 0.9,
                           0.9, 0.9, 0.9, 0.9, 0.9, 0.9, 0.8};
  const double rates[] = {1e-2, 1e-2, 1e-2, 1e-2, 1e-3, 1e-3, 1e-3,
                          1e-4, 1e-4, 1e-4, 1e-5, 1e-5, 1e-5, 1e-5};
  for (int i = 0; i < 14; ++i) {
    ObserveValidation(s, losses[i], &state);
    EXPECT_NEAR(LearningRate(s, state, i), rates[i], 1e-12) << i;
  }
}

TEST(LearningRate, FloorAboveThePeakDoesNotRaiseIt) {
  ScheduleSettings s{.shape = ScheduleShape::kPlateau, .peak = 1e-6};
  EXPECT_DOUBLE_EQ(LearningRate(s, PlateauState(), 0), 1e-6);
}

}  // namespace
}  // namespace caracal
