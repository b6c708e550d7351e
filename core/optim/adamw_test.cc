// What core/optim adds to the kernel: the clip over all groups, a weight decay
// for each, and moments that belong to their tensors.
#include "core/optim/adamw.h"

#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <vector>

#include "core/model/parameters.h"
#include "kernels/common/thread_pool.h"

namespace caracal {
namespace {

constexpr float kStart = 2;

class AdamWTest : public testing::Test {
 protected:
  void SetUp() override {
    for (int i = 0; i < 2; ++i) {
      const std::string p = "layers." + std::to_string(i) + ".";
      store_.Add(p + "map", ParameterGroup::kFeatureMap, {3, 7});
      store_.Add(p + "map_bias", ParameterGroup::kFeatureBias, {7});
      store_.Add(p + "factor", ParameterGroup::kWindowFactor, {3});
      store_.Add(p + "A", ParameterGroup::kLora, {4, 5});
    }
    store_.Allocate();
    for (const Parameter& p : store_.parameters()) Fill(p.value, kStart);
    store_.SetTrained({ParameterGroup::kFeatureMap,
                       ParameterGroup::kFeatureBias,
                       ParameterGroup::kWindowFactor, ParameterGroup::kLora});
    for (const Parameter& p : store_.parameters()) Fill(p.grad, 0);
    settings_.weight_decay = {0.5f, 0.25f, 0.0f, 1.0f};
  }

  static void Fill(TensorView view, float value) {
    for (int64_t i = 0; i < view.size(); ++i) view.f32()[i] = value;
  }
  static double DecayOf(ParameterGroup group) {
    switch (group) {
      case ParameterGroup::kFeatureMap:
        return 0.5;
      case ParameterGroup::kFeatureBias:
        return 0.25;
      case ParameterGroup::kWindowFactor:
        return 0;
      case ParameterGroup::kLora:
        return 1;
    }
    return -1;
  }

  ParameterStore store_;
  AdamWSettings settings_;
  ThreadPool pool_{2};
  Context ctx_{DeviceType::kCpu, &pool_, nullptr};
};

// Without gradients a parameter shrinks by (1 - lr decay) a step.
TEST_F(AdamWTest, EachGroupDecaysByItsOwn) {
  AdamW optimizer(&store_, settings_);
  for (const double lr : {0.1, 0.2, 0.05}) {
    EXPECT_EQ(optimizer.Step(ctx_, static_cast<float>(lr)), 0);
  }
  for (const Parameter& p : store_.parameters()) {
    const double d = DecayOf(p.group);
    const double end = kStart * (1 - 0.1 * d) * (1 - 0.2 * d) * (1 - 0.05 * d);
    for (int64_t i = 0; i < p.value.size(); ++i) {
      EXPECT_NEAR(p.value.f32()[i], end, 1e-6) << p.name << "[" << i << "]";
    }
  }
}

// Decay is decoupled: it is no part of the moments or of the clipped norm. A
// gradient's first step is lr to its other side.
TEST_F(AdamWTest, DecayIsDecoupled) {
  settings_.grad_clip = 1;
  AdamW optimizer(&store_, settings_);
  double squares = 0;
  for (const Parameter& p : store_.parameters()) {
    Fill(p.grad, p.group == ParameterGroup::kLora ? -3.0f : 4.0f);
    squares += static_cast<double>(p.grad.size()) *
               (p.group == ParameterGroup::kLora ? 9 : 16);
  }
  EXPECT_NEAR(optimizer.Step(ctx_, 0.125f), std::sqrt(squares), 1e-5);
  for (const AdamW::Moments& m : optimizer.moments()) {
    const Parameter& p = *m.of.parameter;
    const bool lora = p.group == ParameterGroup::kLora;
    const double clipped = (lora ? -3 : 4) / std::sqrt(squares);
    EXPECT_NEAR(m.first.f32()[0], 0.1 * clipped, 1e-6) << p.name;
    const double end =
        kStart * (1 - 0.125 * DecayOf(p.group)) - (lora ? -0.125 : 0.125);
    for (int64_t i = 0; i < p.value.size(); ++i) {
      EXPECT_NEAR(p.value.f32()[i], end, 1e-5) << p.name << "[" << i << "]";
    }
  }
}

// The groups that are left keep their decay.
TEST_F(AdamWTest, GroupsThatAreNotTrainedStay) {
  store_.SetTrained({ParameterGroup::kFeatureBias, ParameterGroup::kLora});
  AdamW optimizer(&store_, settings_);
  optimizer.Step(ctx_, 0.1f);
  for (const Parameter& p : store_.parameters()) {
    const bool trained = p.group == ParameterGroup::kFeatureBias ||
                         p.group == ParameterGroup::kLora;
    EXPECT_NEAR(p.value.f32()[0],
                trained ? kStart * (1 - 0.1 * DecayOf(p.group)) : kStart, 1e-6)
        << p.name;
  }
}

}  // namespace
}  // namespace caracal
