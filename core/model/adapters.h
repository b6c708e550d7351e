// What a conversion adds to a model: feature maps, window factors and LoRA.
#ifndef CARACAL_CORE_MODEL_ADAPTERS_H_
#define CARACAL_CORE_MODEL_ADAPTERS_H_

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "core/model/parameters.h"
#include "core/model/projection.h"
#include "kernels/hybrid_attention/hybrid_attention.h"

namespace caracal {

// The projections a layer has, in the order of their names in job files.
enum class ProjectionName : uint8_t { kQ, kK, kV, kO, kGate, kUp, kDown };
inline constexpr int kProjections = 7;
inline constexpr std::array<const char*, kProjections> kProjectionNames = {
    "q", "k", "v", "o", "gate", "up", "down"};

struct LoraConfig {
  int64_t rank = 8;
  float alpha = 16;  // the adapter is scaled by alpha / rank
  std::array<bool, kProjections> projections = {true,  true,  true, true,
                                                false, false, false};
};

// Everything about the student that is not the base model. Field meanings and
// ranges: proto/job.proto.
struct StudentConfig {
  kernels::HybridAttentionConfig attention;
  int64_t features = 64;       // F
  bool feature_bias = false;   // the maps have one
  bool tied_features = false;  // queries and keys share their map
  bool kaiming_features = false;
  // Layers kept as plain softmax attention, [layers], or empty: none. They
  // have adapters like the others, of which only LoRA is used.
  std::vector<bool> softmax_layers;
  bool IsSoftmaxLayer(int64_t layer) const {
    return !softmax_layers.empty() && softmax_layers[layer];
  }
  float gamma_init = 0.1f;
  LoraConfig lora;
};

// One side of a projection: a rank's part of it.
struct AdapterSide {
  int64_t size = 0;   // features of this rank
  int64_t whole = 0;  // of the model
  int64_t begin = 0;  // of this rank's, in the model's numbering
  bool shared = false, owned = true;  // as ParameterSlice has them
};

// Layer and projection sizes the adapters are made for: those of one shard.
struct AdapterShape {
  int64_t layers = 0, heads = 0, head_dim = 0;
  // In the model's numbering.
  int64_t first_layer = 0, first_head = 0;
  int64_t model_heads = 0;
  // What every rank has whole (shared feature maps) is `shared` by them, and
  // `owned` by one.
  bool replicas = false, first_replica = true;
  struct ProjectionSides {
    AdapterSide in, out;
  };
  std::array<ProjectionSides, kProjections> projections;
};

// Owns the trained parameters and hands each layer its views. Layers are
// counted from this rank's first; names have the model's numbers:
//   layers.{i}.feature_map_{q,k} [H, D, F]   layers.{i}.window_factor [H]
//   layers.{i}.feature_map_{q,k}_bias [H, F]
//   layers.{i}.lora.{q,k,v,o,...}.A [r, in], .B [out, r]
// `hedgehog_fla` has one map for all heads: 1 instead of H. Tied maps are
// feature_map_q alone.
class Adapters {
 public:
  Adapters(const AdapterShape& shape, const StudentConfig& config);

  // Feature maps: identity for F = D; F > D: surplus columns normal(0,
  // 1/sqrt(D)); F < D: whole RoPE pairs (i, i + D/2) spread evenly; or all of
  // them kaiming-uniform(a = sqrt 5). Biases: 0. Window factors:
  // logit(gamma_init). LoRA: A kaiming-uniform(a = sqrt 5), B zero.
  // Draws are keyed by (seed, layer, tensor), so every layout draws the same.
  void Initialize(uint64_t seed);

  const StudentConfig& config() const { return config_; }
  // Window, sinks and the like may change between passes (curricula,
  // training-free baselines); the feature map's shape may not.
  void set_attention(const kernels::HybridAttentionConfig& attention) {
    config_.attention = attention;
  }
  ParameterStore& parameters() { return store_; }
  const ParameterStore& parameters() const { return store_; }

  const Parameter& feature_map_q(int layer) const {
    return store_[layers_[layer].feature_map_q];
  }
  const Parameter& feature_map_k(int layer) const {
    return store_[layers_[layer].feature_map_k];
  }
  // Undefined views when there is no bias.
  const Parameter& feature_bias_q(int layer) const {
    return BiasAt(layers_[layer].bias_q);
  }
  const Parameter& feature_bias_k(int layer) const {
    return BiasAt(layers_[layer].bias_k);
  }
  const Parameter& window_factor(int layer) const {
    return store_[layers_[layer].window_factor];
  }
  // Undefined views when the projection has no adapter.
  LoraSlot lora(int layer, ProjectionName name) const;

  // LoRA starts to take part (it does not in transfer, nor where a stage list
  // has no fine-tune).
  bool lora_active = false;

 private:
  struct Layer {
    int feature_map_q, feature_map_k, window_factor;
    int bias_q = -1, bias_k = -1;                  // -1: none
    std::array<int, kProjections> lora_a, lora_b;  // -1: none
  };

  const Parameter& BiasAt(int index) const {
    return index < 0 ? no_bias_ : store_[index];
  }
  void DrawFeatureMap(uint64_t seed, int64_t layer, uint64_t tensor,
                      TensorView weight) const;

  AdapterShape shape_;
  StudentConfig config_;
  ParameterStore store_;
  Parameter no_bias_;
  std::vector<Layer> layers_;
};

}  // namespace caracal

#endif  // CARACAL_CORE_MODEL_ADAPTERS_H_
