#include "core/model/adapters.h"

#include <cmath>

#include "absl/strings/str_cat.h"
#include "core/base/philox.h"

namespace caracal {
namespace {

// Column c of an F < D identity: whole RoPE pairs (i, i + D/2), spread evenly.
void SelectRopePairs(int64_t dim, int64_t features, float* weight) {
  const int64_t pairs = features / 2, half = dim / 2;
  for (int64_t p = 0; p < pairs; ++p) {
    const int64_t i = p * half / pairs;
    weight[i * features + p] = 1;
    weight[(i + half) * features + pairs + p] = 1;
  }
}

// All heads of a layer, by the definition of flash-linear-attention's layer.
bool SharesFeatureMap(const StudentConfig& config) {
  return config.attention.feature_map == kernels::FeatureMapKind::kHedgehogFla;
}

}  // namespace

Adapters::Adapters(const AdapterShape& shape, const StudentConfig& config)
    : shape_(shape), config_(config), layers_(shape.layers) {
  const int64_t h = shape.heads, d = shape.head_dim, f = config.features;
  const int64_t r = config.lora.rank;
  const bool one_map = SharesFeatureMap(config);
  // Per-head tensors are cut by heads; the map of all heads is every rank's.
  const auto maps_slice = [&](int64_t i, int64_t second, int64_t third) {
    ParameterSlice slice = {.whole = {shape.model_heads, second, third},
                            .begin = {shape.first_head},
                            .layer = static_cast<int>(i)};
    if (one_map) {
      slice.whole[0] = 1;
      slice.begin[0] = 0;
      slice.shared = shape.replicas;
      slice.owned = shape.first_replica;
    }
    return slice;
  };
  const int64_t maps = one_map ? 1 : h;
  for (int64_t i = 0; i < shape.layers; ++i) {
    Layer& layer = layers_[i];
    const std::string prefix =
        absl::StrCat("layers.", shape.first_layer + i, ".");
    const auto add_map = [&](const char* name) {
      return store_.Add(prefix + name, ParameterGroup::kFeatureMap,
                        {maps, d, f}, maps_slice(i, d, f));
    };
    const auto add_bias = [&](const char* name) {
      return store_.Add(prefix + name, ParameterGroup::kFeatureBias, {maps, f},
                        maps_slice(i, f, 0));
    };
    layer.feature_map_q = add_map("feature_map_q");
    layer.feature_map_k =
        config.tied_features ? layer.feature_map_q : add_map("feature_map_k");
    if (config.feature_bias) {
      layer.bias_q = add_bias("feature_map_q_bias");
      layer.bias_k =
          config.tied_features ? layer.bias_q : add_bias("feature_map_k_bias");
    }
    layer.window_factor =
        store_.Add(prefix + "window_factor", ParameterGroup::kWindowFactor, {h},
                   {.whole = {shape.model_heads},
                    .begin = {shape.first_head},
                    .layer = static_cast<int>(i)});
    for (int p = 0; p < kProjections; ++p) {
      layer.lora_a[p] = layer.lora_b[p] = -1;
      if (!config.lora.projections[p]) continue;
      const auto& [in, out] = shape.projections[p];
      const std::string name =
          absl::StrCat(prefix, "lora.", kProjectionNames[p], ".");
      layer.lora_a[p] =
          store_.Add(name + "A", ParameterGroup::kLora, {r, in.size},
                     {.whole = {r, in.whole},
                      .begin = {0, in.begin},
                      .shared = in.shared,
                      .owned = in.owned,
                      .layer = static_cast<int>(i)});
      layer.lora_b[p] =
          store_.Add(name + "B", ParameterGroup::kLora, {out.size, r},
                     {.whole = {out.whole, r},
                      .begin = {out.begin},
                      .shared = out.shared,
                      .owned = out.owned,
                      .layer = static_cast<int>(i)});
    }
  }
  store_.Allocate();
}

void Adapters::DrawFeatureMap(uint64_t seed, int64_t layer, uint64_t tensor,
                              TensorView weight) const {
  const int64_t maps = weight.shape[0], d = shape_.head_dim;
  const int64_t f = config_.features;
  const float scale = 1 / std::sqrt(static_cast<float>(d));
  for (int64_t h = 0; h < maps; ++h) {
    const int64_t head = SharesFeatureMap(config_) ? 0 : shape_.first_head + h;
    const RandomStream draw(
        {.seed = seed,
         .purpose = RandomPurpose::kFeatureMapInit,
         .step = tensor,
         .sample = static_cast<uint64_t>(head),
         .layer = static_cast<uint64_t>(shape_.first_layer + layer)});
    float* w = weight.f32() + h * d * f;
    if (config_.kaiming_features) {
      // fan_in = D: bound = 1 / sqrt(D).
      for (int64_t i = 0; i < d * f; ++i) {
        w[i] = scale * (2 * draw.Uniform(i) - 1);
      }
      continue;
    }
    if (f < d) {
      SelectRopePairs(d, f, w);
      continue;
    }
    for (int64_t row = 0; row < d; ++row) {
      for (int64_t col = 0; col < f; ++col) {
        w[row * f + col] = col < d ? static_cast<float>(row == col)
                                   : scale * draw.Normal(row * f + col);
      }
    }
  }
}

void Adapters::Initialize(uint64_t seed) {
  const float gamma = config_.gamma_init;
  const float window_factor = std::log(gamma / (1 - gamma));
  for (int64_t i = 0; i < shape_.layers; ++i) {
    const Layer& layer = layers_[i];
    DrawFeatureMap(seed, i, 0, feature_map_q(i).value);
    if (!config_.tied_features) {
      DrawFeatureMap(seed, i, 1, feature_map_k(i).value);
    }
    const Parameter& w = store_[layer.window_factor];
    for (int64_t h = 0; h < shape_.heads; ++h) {
      w.value.f32()[h] = window_factor;
    }
    for (int p = 0; p < kProjections; ++p) {
      if (layer.lora_a[p] < 0) continue;
      const TensorView a = store_[layer.lora_a[p]].value;
      const AdapterSide& in = shape_.projections[p].in;
      // kaiming_uniform_(a = sqrt(5)): bound = 1 / sqrt(fan_in).
      const float bound = 1 / std::sqrt(static_cast<float>(in.whole));
      const RandomStream uniform(
          {.seed = seed,
           .purpose = RandomPurpose::kAdapterInit,
           .step = static_cast<uint64_t>(p),
           .sample = 0,
           .layer = static_cast<uint64_t>(shape_.first_layer + i)});
      for (int64_t k = 0; k < a.size(); ++k) {
        // The element's place in the whole model's tensor.
        const int64_t row = k / in.size, column = in.begin + k % in.size;
        a.f32()[k] = bound * (2 * uniform.Uniform(row * in.whole + column) - 1);
      }
    }
  }
}

LoraSlot Adapters::lora(int layer, ProjectionName name) const {
  const int p = static_cast<int>(name);
  LoraSlot slot;
  if (!lora_active || layers_[layer].lora_a[p] < 0) return slot;
  const Parameter& a = store_[layers_[layer].lora_a[p]];
  const Parameter& b = store_[layers_[layer].lora_b[p]];
  slot.a = a.step_value;
  slot.b = b.step_value;
  slot.da = a.step_grad;
  slot.db = b.step_grad;
  slot.scale = config_.lora.alpha / static_cast<float>(config_.lora.rank);
  return slot;
}

}  // namespace caracal
