#include "core/model/ops/cuda/decoding_cache.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/status.h"
#include "core/model/ops/attention.h"
#include "core/model/ops/cuda/cuda_ops.h"
#include "kernels/causal_attention/causal_attention_decode_cuda.h"
#include "kernels/hybrid_attention/hybrid_attention_decode_cuda.h"

namespace caracal {
namespace {

// [N, heads, D] of [N, heads D].
TensorView AsHeads(const LayerContext& layer, TensorView y) {
  TensorView out(y.data, y.dtype,
                 {y.shape[0], layer.heads(), layer.head_dim()});
  out.stride[0] = y.stride[0];
  return out;
}

// Row `row` of sequence `sequence` of a cache [N, rows, Hkv, D].
void* RowOf(const Tensor& cache, int64_t sequence, int64_t row) {
  const TensorView& v = cache.view();
  return static_cast<uint16_t*>(v.data) + sequence * v.stride[0] +
         row * v.stride[1];
}

// Rows [from, from + count) of keys or values [rows, Hkv, D] to a sequence's
// rows of a cache, from row `to` on.
void CopyRows(Device& device, const TensorView& rows, int64_t from,
              int64_t count, const Tensor& cache, int64_t sequence,
              int64_t to) {
  if (count <= 0) return;
  const size_t width = cache.view().stride[1] * sizeof(uint16_t);
  device.CopyRows(
      static_cast<const uint16_t*>(rows.data) + from * rows.stride[0],
      rows.stride[0] * sizeof(uint16_t), width, count,
      RowOf(cache, sequence, to), width);
}

// Of one key and its value, all heads.
double KeyBytes(const LayerContext& layer) {
  return 2.0 * sizeof(uint16_t) *
         static_cast<double>(layer.kv_heads() * layer.head_dim());
}

// Behind a prompt a window as LoLCATs' code has it slides, as on the host.
kernels::HybridAttentionConfig ConfigOf(const LayerContext& layer) {
  kernels::HybridAttentionConfig config = layer.attention();
  if (config.window_kind == kernels::WindowKind::kLolcatsTerraced) {
    config.window_kind = kernels::WindowKind::kSliding;
  }
  return config;
}

// The window's and the sinks' keys and values, and the linear state.
class HybridDecodingCache final : public CudaDecodingCache {
 public:
  static absl::StatusOr<std::unique_ptr<CudaDecodingCache>> Make(
      Device& device, const LayerContext& layer, const ModePlan& plan) {
    const kernels::HybridAttentionConfig config = ConfigOf(layer);
    const int64_t features = layer.adapters->config().features;
    const int64_t heads = layer.heads(), kv = layer.kv_heads();
    const int64_t dim = layer.head_dim(), n = plan.sequences();
    if (!kernels::HybridAttentionDecodeCudaSupports(config, dim, features)) {
      return absl::UnimplementedError(absl::StrCat(
          "decoding on the device knows no window of ", config.window,
          " tokens with heads of ", dim, " and ", features, " features"));
    }
    auto cache = std::make_unique<HybridDecodingCache>();
    const bool terraced = config.window_kind == kernels::WindowKind::kTerraced;
    const uint8_t* const terms = plan.terms(layer.layer);
    const bool linear = std::any_of(terms, terms + n * heads, [](uint8_t t) {
      return t & (kernels::kLinearPastTerms | kernels::kLinearNearTerms);
    });
    const int64_t waiting = linear
                                ? kernels::HybridAttentionDecodeCudaWaitingKeys(
                                      config, n, heads, dim)
                                : 0;
    const int64_t ring = (terraced ? 2 : 1) * config.window + waiting;
    for (Tensor* t : {&cache->ring_k_, &cache->ring_v_}) {
      ASSIGN_OR_RETURN(*t, device.Allocate(DType::kBF16, {n, ring, kv, dim}));
    }
    for (Tensor* t : {&cache->sink_k_, &cache->sink_v_}) {
      if (config.sinks == 0) continue;
      ASSIGN_OR_RETURN(
          *t, device.Allocate(DType::kBF16, {n, config.sinks, kv, dim}));
    }
    if (linear) {
      const int64_t out =
          kernels::FeatureMapOutputs(config.feature_map, features);
      ASSIGN_OR_RETURN(cache->state_,
                       device.Allocate(DType::kF32, {n, heads, out, dim}));
      ASSIGN_OR_RETURN(cache->norm_,
                       device.Allocate(DType::kF32, {n, heads, out}));
      if (waiting > 0) {
        ASSIGN_OR_RETURN(
            cache->waiting_,
            device.Allocate(DType::kF32, {n, heads, waiting, out}));
        ASSIGN_OR_RETURN(cache->begun_, device.Allocate(DType::kI32, {n}));
      }
    }
    ASSIGN_OR_RETURN(cache->terms_, device.Allocate(DType::kU8, {n, heads}));
    device.Upload(terms, n * heads, cache->terms_.view().data);
    cache->capacity_ = layer.weights->rope_cos.dim(0);
    return cache;
  }

  void Take(Execution& exec, const LayerContext& layer, const TokenBatch& texts,
            TensorView qkv) override {
    Device& device = *exec.device;
    const QkvViews rows = SplitQkvRows(layer, qkv);
    const int64_t ring = ring_k_.dim(1), sinks = ConfigOf(layer).sinks;
    for (int64_t i = 0; i < texts.sequences; ++i) {
      const int64_t begin = texts.offsets[i];
      const int64_t length = texts.offsets[i + 1] - begin;
      // Key j lies at row j % ring: of the last ones those up to the ring's
      // end, and those that go round.
      const int64_t first = std::max<int64_t>(length - ring, 0);
      const int64_t to_end = std::min(length - first, ring - first % ring);
      const auto take = [&](const TensorView& from, const Tensor& into,
                            const Tensor& sinks_into) {
        CopyRows(device, from, begin + first, to_end, into, i, first % ring);
        CopyRows(device, from, begin + first + to_end, length - first - to_end,
                 into, i, 0);
        if (sinks_into.defined()) {
          CopyRows(device, from, begin, std::min(sinks, length), sinks_into, i,
                   0);
        }
      };
      take(rows.k, ring_k_, sink_k_);
      take(rows.v, ring_v_, sink_v_);
    }
    if (!state_.defined()) return;
    if (begun_.defined()) {
      std::vector<int32_t> lengths;
      for (int64_t i = 0; i < texts.sequences; ++i) {
        lengths.push_back(
            static_cast<int32_t>(texts.offsets[i + 1] - texts.offsets[i]));
      }
      device.Upload(lengths.data(), begun_.bytes(), begun_.view().data);
    }
    kernels::HybridAttentionInputs maps;
    BindFeatureMaps(layer, &maps);
    const kernels::HybridAttentionDecodeTexts in = {
        .k = rows.k,
        .v = rows.v,
        .weight_k = maps.weight_k,
        .bias_k = maps.bias_k,
        .heads = layer.heads(),
        .offsets = texts.offsets,
        .sequences = texts.sequences};
    ArenaScope scratch(exec.arena);
    const Workspace workspace = device.arena().AllocateWorkspace(
        kernels::HybridAttentionDecodeStatesCudaWorkspaceBytes(ConfigOf(layer),
                                                               in));
    if (!device.ok()) return;
    kernels::HybridAttentionDecodeStatesCuda(exec.ctx, ConfigOf(layer), in,
                                             state_, norm_, workspace);
  }

  void Attend(const Context& ctx, const LayerContext& layer,
              const int32_t* length, TensorView qkv, TensorView y,
              Workspace workspace) override {
    kernels::HybridAttentionDecodeCache cache;
    cache.length = length;
    cache.ring_k = ring_k_;
    cache.ring_v = ring_v_;
    cache.sink_k = sink_k_;
    cache.sink_v = sink_v_;
    cache.state = state_;
    cache.state_norm = norm_;
    if (waiting_.defined()) {
      cache.waiting = waiting_;
      cache.begun = static_cast<const int32_t*>(begun_.view().data);
    }
    kernels::HybridAttentionDecodeCuda(ctx, ConfigOf(layer), Inputs(layer, qkv),
                                       cache, AsHeads(layer, y), workspace);
  }

  size_t workspace_bytes(const LayerContext& layer,
                         TensorView qkv) const override {
    return kernels::HybridAttentionDecodeCudaWorkspaceBytes(ConfigOf(layer),
                                                            Inputs(layer, qkv));
  }

  int64_t capacity() const override { return capacity_; }
  absl::Status Grow(Device&, const std::vector<int64_t>&, int64_t) override {
    return absl::InternalError("there is room for all of the model's tokens");
  }

  size_t bytes() const override {
    size_t total = 0;
    for (const Tensor* t :
         {&ring_k_, &ring_v_, &sink_k_, &sink_v_, &state_, &norm_, &waiting_}) {
      if (t->defined()) total += t->bytes();
    }
    return total;
  }

  double step_bytes(const LayerContext& layer,
                    const std::vector<int64_t>& lengths) const override {
    double total = 0;
    const int64_t keys = ConfigOf(layer).window + ConfigOf(layer).sinks;
    for (const int64_t n : lengths) {
      total += KeyBytes(layer) * static_cast<double>(std::min(n, keys) + 1);
    }
    if (!state_.defined()) return total;
    const Parameter& map = layer.adapters->feature_map_q(layer.layer);
    // Of a state that is written once in `steps` the features of the others'
    // keys are written, and read, with their values, until then.
    const double steps =
        waiting_.defined() ? static_cast<double>(waiting_.dim(2)) + 1 : 1;
    const double read = (steps - 1) / 2;
    total +=
        (1 + 1 / steps) * static_cast<double>(state_.bytes() + norm_.bytes()) +
        ((steps - 1) / steps + read) * static_cast<double>(norm_.bytes()) +
        read * KeyBytes(layer) / 2 * static_cast<double>(lengths.size());
    return total + 2.0 * sizeof(float) * static_cast<double>(map.value.size());
  }

 private:
  kernels::HybridAttentionDecodeInputs Inputs(const LayerContext& layer,
                                              TensorView qkv) const {
    const QkvViews rows = SplitQkvRows(layer, qkv);
    kernels::HybridAttentionInputs maps;
    BindFeatureMaps(layer, &maps);
    kernels::HybridAttentionDecodeInputs in;
    in.q = rows.q;
    in.k = rows.k;
    in.v = rows.v;
    in.weight_q = maps.weight_q;
    in.weight_k = maps.weight_k;
    in.bias_q = maps.bias_q;
    in.bias_k = maps.bias_k;
    in.window_factor = maps.window_factor;
    in.cos = layer.weights->rope_cos;
    in.sin = layer.weights->rope_sin;
    in.terms = static_cast<const uint8_t*>(terms_.view().data);
    return in;
  }

  int64_t capacity_ = 0;
  Tensor ring_k_, ring_v_;  // [N, ring, Hkv, D]
  Tensor sink_k_, sink_v_;  // [N, S, Hkv, D], or undefined
  Tensor state_, norm_;     // [N, H, Fout, D], [N, H, Fout], or undefined
  Tensor waiting_, begun_;  // [N, H, R, Fout], [N], or undefined
  Tensor terms_;            // [N, H]
};

// All keys and values.
class FullDecodingCache final : public CudaDecodingCache {
 public:
  static absl::StatusOr<std::unique_ptr<CudaDecodingCache>> Make(
      Device& device, const LayerContext& layer, const ModePlan& plan) {
    auto cache = std::make_unique<FullDecodingCache>();
    cache->most_ = layer.weights->rope_cos.dim(0);
    for (Tensor* t : {&cache->keys_, &cache->values_}) {
      ASSIGN_OR_RETURN(
          *t,
          device.Allocate(DType::kBF16, {plan.sequences(),
                                         std::min(cache->most_, kLeastCapacity),
                                         layer.kv_heads(), layer.head_dim()}));
    }
    return cache;
  }

  void Take(Execution& exec, const LayerContext& layer, const TokenBatch& texts,
            TensorView qkv) override {
    const QkvViews rows = SplitQkvRows(layer, qkv);
    for (int64_t i = 0; i < texts.sequences; ++i) {
      const int64_t begin = texts.offsets[i];
      const int64_t count = texts.offsets[i + 1] - begin;
      CopyRows(*exec.device, rows.k, begin, count, keys_, i, 0);
      CopyRows(*exec.device, rows.v, begin, count, values_, i, 0);
    }
  }

  void Attend(const Context& ctx, const LayerContext& layer,
              const int32_t* length, TensorView qkv, TensorView y,
              Workspace workspace) override {
    kernels::CausalAttentionDecodeCache cache;
    cache.length = length;
    cache.keys = keys_;
    cache.values = values_;
    kernels::CausalAttentionDecodeCuda(ctx, Inputs(layer, qkv), cache,
                                       AsHeads(layer, y), workspace);
  }

  size_t workspace_bytes(const LayerContext& layer,
                         TensorView qkv) const override {
    return kernels::CausalAttentionDecodeCudaWorkspaceBytes(Inputs(layer, qkv));
  }

  int64_t capacity() const override { return keys_.dim(1); }

  absl::Status Grow(Device& device, const std::vector<int64_t>& lengths,
                    int64_t capacity) override {
    // At least twice as many, so that growing is rare.
    const int64_t rows = std::min(most_, std::max(capacity, 2 * keys_.dim(1)));
    for (Tensor* t : {&keys_, &values_}) {
      const Tensor old = *t;
      ASSIGN_OR_RETURN(
          *t, device.Allocate(DType::kBF16,
                              {old.dim(0), rows, old.dim(2), old.dim(3)}));
      for (size_t i = 0; i < lengths.size(); ++i) {
        const auto sequence = static_cast<int64_t>(i);
        const size_t bytes = std::min(lengths[i], old.dim(1)) *
                             old.view().stride[1] * sizeof(uint16_t);
        device.Copy(RowOf(old, sequence, 0), bytes, RowOf(*t, sequence, 0));
      }
      // Before the old memory goes.
      RETURN_IF_ERROR(device.Wait());
    }
    return absl::OkStatus();
  }

  size_t bytes() const override { return keys_.bytes() + values_.bytes(); }

  double step_bytes(const LayerContext& layer,
                    const std::vector<int64_t>& lengths) const override {
    double total = 0;
    for (const int64_t n : lengths) {
      total += KeyBytes(layer) * static_cast<double>(n + 1);
    }
    return total;
  }

 private:
  static constexpr int64_t kLeastCapacity = 1024;

  static kernels::CausalAttentionDecodeInputs Inputs(const LayerContext& layer,
                                                     TensorView qkv) {
    const QkvViews rows = SplitQkvRows(layer, qkv);
    return {.q = rows.q,
            .k = rows.k,
            .v = rows.v,
            .cos = layer.weights->rope_cos,
            .sin = layer.weights->rope_sin};
  }

  int64_t most_ = 0;      // positions of the model
  Tensor keys_, values_;  // [N, capacity, Hkv, D]
};

}  // namespace

absl::StatusOr<std::unique_ptr<CudaDecodingCache>> MakeDecodingCache(
    Device& device, const LayerContext& layer, const ModePlan& plan) {
  return plan.full_softmax(layer.layer)
             ? FullDecodingCache::Make(device, layer, plan)
             : HybridDecodingCache::Make(device, layer, plan);
}

}  // namespace caracal
