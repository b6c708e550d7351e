#include "core/model/parameters.h"

#include <gtest/gtest.h>

namespace caracal {
namespace {

class ParametersTest : public testing::Test {
 protected:
  ParametersTest() {
    for (int i = 0; i < 2; ++i) {
      const std::string p = "layers." + std::to_string(i);
      store_.Add(p + ".map", ParameterGroup::kFeatureMap, {2, 3});
      store_.Add(p + ".w", ParameterGroup::kWindowFactor, {2});
      store_.Add(p + ".A", ParameterGroup::kLora, {4, 5});
    }
    store_.Allocate();
  }
  ParameterStore store_;
};

TEST_F(ParametersTest, GroupsAreContiguous) {
  store_.SetTrained({ParameterGroup::kFeatureMap, ParameterGroup::kLora});
  ASSERT_EQ(store_.trained_runs().size(), 2u);
  EXPECT_EQ(store_.trained_runs()[0].value.size(), 12);
  EXPECT_EQ(store_.trained_runs()[1].value.size(), 40);
  EXPECT_EQ(store_.trained_size(), 52);
  EXPECT_EQ(store_.trained().size(), 4u);
  // A run's elements are the parameters' own memory.
  for (int64_t i = 0; i < 40; ++i) {
    store_.trained_runs()[1].value.f32()[i] = static_cast<float>(i);
  }
  EXPECT_EQ(store_.Find("layers.0.A")->value.f32()[19], 19);
  EXPECT_EQ(store_.Find("layers.1.A")->value.f32()[0], 20);
}

TEST_F(ParametersTest, GradientsExistForTheTrainedOnly) {
  store_.SetTrained({ParameterGroup::kWindowFactor});
  EXPECT_FALSE(store_.Find("layers.0.map")->grad.defined());
  const Parameter* w = store_.Find("layers.1.w");
  ASSERT_TRUE(w->grad.defined());
  w->grad.f32()[1] = 5;
  EXPECT_EQ(store_.trained_runs()[0].grad.f32()[3], 5);
  store_.ZeroGradients();
  EXPECT_EQ(w->grad.f32()[1], 0);
  store_.SetTrained({});
  EXPECT_FALSE(store_.Find("layers.1.w")->grad.defined());
  EXPECT_EQ(store_.trained_size(), 0);
}

TEST_F(ParametersTest, FindKnowsNamesOnly) {
  EXPECT_EQ(store_.Find("layers.2.map"), nullptr);
}

}  // namespace
}  // namespace caracal
