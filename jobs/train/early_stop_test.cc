#include "jobs/train/early_stop.h"

#include <gtest/gtest.h>

namespace caracal {
namespace {

proto::EarlyStop Rule(proto::EarlyStop::Rule kind, int patience) {
  proto::EarlyStop rule;
  rule.set_rule(kind);
  rule.set_patience(patience);
  rule.set_lambda(0.5);
  return rule;
}

TEST(EarlyStop, ValidationLossThatDoesNotImprove) {
  const auto rule = Rule(proto::EarlyStop::VALIDATION_LOSS, 2);
  EarlyStopState state;
  const auto see = [&](double loss) {
    return ObserveForEarlyStop(rule, {.loss = loss}, &state);
  };
  EXPECT_TRUE(see(3.0).improved);
  EXPECT_FALSE(see(3.0).improved);  // no better: bad, once
  EXPECT_TRUE(see(2.9).improved);   // and starts over
  EXPECT_FALSE(see(3.1).stop);
  const auto last = see(2.95);
  EXPECT_TRUE(last.stop);
  EXPECT_FALSE(last.improved);
  EXPECT_EQ(state.best_score, 2.9);
}

TEST(EarlyStop, ComponentAwareScoreByHand) {
  const auto rule = Rule(proto::EarlyStop::COMPONENT_AWARE, 3);
  EarlyStopState state;
  // u = 0.2: nothing to fall from yet.
  auto d = ObserveForEarlyStop(rule, {.hybrid = 3.0, .swa_only = 3.2}, &state);
  EXPECT_DOUBLE_EQ(d.score, 3.0);
  EXPECT_TRUE(d.improved);
  // The hybrid is better by 0.05, but u fell by 0.15: 2.95 + 0.075.
  d = ObserveForEarlyStop(rule, {.hybrid = 2.95, .swa_only = 3.0}, &state);
  EXPECT_NEAR(d.score, 3.025, 1e-12);
  EXPECT_FALSE(d.improved);
  EXPECT_EQ(state.bad_validations, 1);
  // The score improves, u rises again: good.
  d = ObserveForEarlyStop(rule, {.hybrid = 2.9, .swa_only = 3.1}, &state);
  EXPECT_NEAR(d.score, 2.9, 1e-12);
  EXPECT_TRUE(d.improved);
  EXPECT_EQ(state.bad_validations, 0);
  // Best scores, but u falls every time: improved, and stopped all the same.
  d = ObserveForEarlyStop(rule, {.hybrid = 2.7, .swa_only = 2.89}, &state);
  EXPECT_TRUE(d.improved);
  EXPECT_FALSE(d.stop);
  d = ObserveForEarlyStop(rule, {.hybrid = 2.5, .swa_only = 2.68}, &state);
  EXPECT_FALSE(d.stop);
  d = ObserveForEarlyStop(rule, {.hybrid = 2.3, .swa_only = 2.47}, &state);
  EXPECT_TRUE(d.stop);
  EXPECT_DOUBLE_EQ(state.best_use, 3.1 - 2.9);
}

}  // namespace
}  // namespace caracal
