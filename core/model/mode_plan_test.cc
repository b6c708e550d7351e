#include "core/model/mode_plan.h"

#include <gtest/gtest.h>

namespace caracal {
namespace {

TEST(ModePlan, OverridesTouchOnlyTheirPlace) {
  ModePlan plan;
  plan.SetAll(3, 2, 4, ComponentMode::kHybrid);
  plan.SetLayer(0, ComponentMode::kSoftmax);
  plan.SetSequence(1, 1, ComponentMode::kLaOnly);
  plan.SetHead(2, 0, 3, ComponentMode::kNone);
  EXPECT_TRUE(plan.full_softmax(0));
  EXPECT_FALSE(plan.full_softmax(1));
  const uint8_t hybrid = TermsOf(ComponentMode::kHybrid);
  for (int h = 0; h < 4; ++h) {
    EXPECT_EQ(plan.terms(1)[h], hybrid);
    EXPECT_EQ(plan.terms(1)[4 + h], TermsOf(ComponentMode::kLaOnly));
    EXPECT_EQ(plan.terms(2)[h], h == 3 ? 0 : hybrid);
  }
  EXPECT_TRUE(plan.adapters_on());
}

TEST(ModePlan, SetAllForgetsEarlierOverrides) {
  ModePlan plan;
  plan.SetAll(1, 1, 1, ComponentMode::kTeacher);
  EXPECT_FALSE(plan.adapters_on());
  EXPECT_TRUE(plan.full_softmax(0));
  plan.SetAllTerms(2, 1, 1, 8);
  EXPECT_TRUE(plan.adapters_on());
  EXPECT_FALSE(plan.full_softmax(0));
  EXPECT_EQ(plan.terms(1)[0], 8);
}

TEST(ModePlan, KindsOfTermsAreThoseThatOccur) {
  const auto bit = [](uint8_t terms) { return uint32_t{1} << terms; };
  ModePlan plan;
  plan.SetAll(2, 2, 2, ComponentMode::kHybrid);
  EXPECT_EQ(plan.term_kinds(), bit(TermsOf(ComponentMode::kHybrid)));
  EXPECT_EQ(plan.all_terms().size(), 8);
  plan.SetHead(1, 1, 0, ComponentMode::kLaOnly);
  EXPECT_EQ(plan.term_kinds(), bit(TermsOf(ComponentMode::kHybrid)) |
                                   bit(TermsOf(ComponentMode::kLaOnly)));
  plan.SetLayer(1, ComponentMode::kSoftmax);
  EXPECT_EQ(plan.term_kinds(), bit(TermsOf(ComponentMode::kHybrid)));
  plan.SetAll(2, 2, 2, ComponentMode::kSoftmax);
  EXPECT_EQ(plan.term_kinds(), 0);
}

TEST(ModePlanDeathTest, NoTermsWithinASoftmaxLayer) {
  ModePlan plan;
  plan.SetAll(1, 1, 1, ComponentMode::kSoftmax);
  EXPECT_DEATH(plan.SetHead(0, 0, 0, ComponentMode::kLaOnly), "softmax");
}

}  // namespace
}  // namespace caracal
