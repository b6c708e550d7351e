#include "jobs/curriculum/closed_loop.h"

#include <gtest/gtest.h>

namespace caracal {
namespace {

proto::ClosedLoop Loop() {
  proto::ClosedLoop loop;
  loop.set_gain(0.25);
  loop.set_target(0.9);
  loop.set_p_min(0.1);
  loop.set_p_max(0.95);
  loop.set_smoothing(0.5);
  return loop;
}

// u* = 0.5; u as given.
UseMeasurement Use(double u) {
  return {.teacher = 3, .teacher_swa = 3.5, .hybrid = 3.2, .swa_only = 3.2 + u};
}

TEST(ClosedLoop, StepsByHand) {
  ClosedLoopState state{.drop_probability = 0.5};
  ClosedLoopDecision d = SteerDropout(Loop(), Use(0.1), &state);  // r = 0.2
  EXPECT_NEAR(d.ratio, 0.2, 1e-12);
  EXPECT_NEAR(d.drop_probability, 0.5 + 0.25 * 0.7, 1e-12);
  d = SteerDropout(Loop(), Use(0.3), &state);  // r = 0.6, smoothed 0.4
  EXPECT_NEAR(d.ratio, 0.6, 1e-12);
  EXPECT_NEAR(state.smoothed_ratio, 0.4, 1e-12);
  EXPECT_NEAR(d.drop_probability, 0.675 + 0.25 * 0.5, 1e-12);
}

TEST(ClosedLoop, StaysInItsBounds) {
  ClosedLoopState state{.drop_probability = 0.9};
  for (int i = 0; i < 10; ++i) SteerDropout(Loop(), Use(-0.2), &state);
  EXPECT_EQ(state.drop_probability, 0.95);
  for (int i = 0; i < 40; ++i) SteerDropout(Loop(), Use(1.5), &state);
  EXPECT_EQ(state.drop_probability, 0.1);
}

// Linear attention that already brings what it should leaves p alone.
TEST(ClosedLoop, RestsAtTheTarget) {
  ClosedLoopState state{.drop_probability = 0.3};
  for (int i = 0; i < 5; ++i) SteerDropout(Loop(), Use(0.45), &state);
  EXPECT_NEAR(state.drop_probability, 0.3, 1e-12);
}

TEST(ClosedLoop, HoldsWhereThePastIsWorthNothing) {
  ClosedLoopState state{.drop_probability = 0.3};
  const ClosedLoopDecision d = SteerDropout(
      Loop(), {.teacher = 3, .teacher_swa = 3, .hybrid = 3, .swa_only = 3.1},
      &state);
  EXPECT_TRUE(d.held);
  EXPECT_EQ(d.drop_probability, 0.3);
  EXPECT_FALSE(state.has_ratio);
}

}  // namespace
}  // namespace caracal
