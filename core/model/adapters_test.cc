#include "core/model/adapters.h"

#include <gtest/gtest.h>

#include <cmath>

namespace caracal {
namespace {

AdapterShape SmallShape() {
  AdapterShape shape;
  shape.layers = 2;
  shape.heads = shape.model_heads = 3;
  shape.head_dim = 8;
  const AdapterSide stream = {16, 16}, queries = {24, 24}, keys = {8, 8},
                    mlp = {32, 32};
  shape.projections = {{{stream, queries},
                        {stream, keys},
                        {stream, keys},
                        {queries, stream},
                        {stream, mlp},
                        {stream, mlp},
                        {mlp, stream}}};
  return shape;
}

StudentConfig ConfigWith(int64_t features) {
  StudentConfig config;
  config.features = features;
  config.lora.rank = 4;
  return config;
}

TEST(Adapters, IdentityMapsWhenFeaturesAreTheHeadDimension) {
  Adapters adapters(SmallShape(), ConfigWith(8));
  adapters.Initialize(1);
  const float* w = adapters.feature_map_k(1).value.f32();
  for (int h = 0; h < 3; ++h) {
    for (int i = 0; i < 8; ++i) {
      for (int j = 0; j < 8; ++j) EXPECT_EQ(w[(h * 8 + i) * 8 + j], i == j);
    }
  }
  EXPECT_FLOAT_EQ(adapters.window_factor(0).value.f32()[2],
                  -2.1972245773362196f);
}

TEST(Adapters, FewerFeaturesKeepWholeRopePairs) {
  Adapters adapters(SmallShape(), ConfigWith(4));
  adapters.Initialize(1);
  const float* w = adapters.feature_map_q(0).value.f32();
  // Pairs (0, 4) and (2, 6) of the head dimension, halves side by side.
  const int row_of_column[4] = {0, 2, 4, 6};
  for (int i = 0; i < 8; ++i) {
    for (int j = 0; j < 4; ++j) {
      EXPECT_EQ(w[i * 4 + j], i == row_of_column[j]) << i << " " << j;
    }
  }
}

TEST(Adapters, SurplusFeaturesAreSmallAndDiffer) {
  Adapters adapters(SmallShape(), ConfigWith(64));
  adapters.Initialize(1);
  const float* q = adapters.feature_map_q(0).value.f32();
  const float* k = adapters.feature_map_k(0).value.f32();
  double squares = 0;
  int same = 0;
  for (int h = 0; h < 3; ++h) {
    for (int i = 0; i < 8; ++i) {
      for (int j = 0; j < 64; ++j) {
        const int at = (h * 8 + i) * 64 + j;
        if (j < 8) {
          EXPECT_EQ(q[at], i == j);
          continue;
        }
        squares += static_cast<double>(q[at]) * q[at];
        same += q[at] == k[at];
      }
    }
  }
  // 3 x 8 x 56 draws of variance 1/8: five standard errors.
  const double n = 3 * 8 * 56;
  EXPECT_NEAR(squares / n, 1.0 / 8, 5 * (1.0 / 8) * std::sqrt(2 / n));
  EXPECT_EQ(same, 0);
}

TEST(Adapters, LoraStartsAsNothingAndDrawsDependOnTheSeed) {
  Adapters a(SmallShape(), ConfigWith(8)), b(SmallShape(), ConfigWith(8));
  a.Initialize(1);
  b.Initialize(2);
  a.lora_active = b.lora_active = true;
  const LoraSlot slot = a.lora(0, ProjectionName::kO);
  ASSERT_TRUE(slot.active());
  EXPECT_EQ(slot.scale, 4);
  const float bound = 1 / std::sqrt(24.0f);
  float largest = 0;
  for (int64_t i = 0; i < slot.a.size(); ++i) {
    largest = std::max(largest, std::abs(slot.a.f32()[i]));
  }
  EXPECT_LE(largest, bound);
  EXPECT_GT(largest, 0.8f * bound);
  for (int64_t i = 0; i < slot.b.size(); ++i) EXPECT_EQ(slot.b.f32()[i], 0);
  EXPECT_NE(slot.a.f32()[0], b.lora(0, ProjectionName::kO).a.f32()[0]);
  EXPECT_NE(slot.a.f32()[0], a.lora(1, ProjectionName::kO).a.f32()[0]);
  EXPECT_FALSE(a.lora(0, ProjectionName::kGate).active());
  a.lora_active = false;
  EXPECT_FALSE(a.lora(0, ProjectionName::kO).active());
}

// A shard draws what the whole model would for its heads and layers.
TEST(Adapters, ShardsDrawTheirPartOfTheWhole) {
  AdapterShape part = SmallShape();
  part.layers = 1;
  part.first_layer = 1;
  part.heads = 1;
  part.first_head = 2;
  // Two thirds of o's inputs.
  part.projections[static_cast<int>(ProjectionName::kO)].in = {8, 24, 16};
  Adapters whole(SmallShape(), ConfigWith(64)), shard(part, ConfigWith(64));
  whole.Initialize(7);
  shard.Initialize(7);
  whole.lora_active = shard.lora_active = true;
  EXPECT_EQ(shard.feature_map_q(0).name, "layers.1.feature_map_q");
  EXPECT_EQ(shard.feature_map_q(0).slice.begin[0], 2);
  EXPECT_EQ(shard.feature_map_q(0).slice.whole[0], 3);
  const float* w = whole.feature_map_q(1).value.f32() + 2 * 8 * 64;
  const float* s = shard.feature_map_q(0).value.f32();
  for (int i = 0; i < 8 * 64; ++i) EXPECT_EQ(w[i], s[i]);
  const float* a = whole.lora(1, ProjectionName::kO).a.f32();
  const float* b = shard.lora(0, ProjectionName::kO).a.f32();
  for (int row = 0; row < 4; ++row) {
    for (int i = 0; i < 8; ++i) EXPECT_EQ(b[row * 8 + i], a[row * 24 + 16 + i]);
  }
}

}  // namespace
}  // namespace caracal
