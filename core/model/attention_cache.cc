#include "core/model/attention_cache.h"

#include <algorithm>
#include <cstring>

#include "core/model/ops/attention.h"
#include "kernels/causal_attention/causal_attention.h"

namespace caracal {
namespace {

// Copies rows [begin, begin + count) of a strided [rows, heads, D] view to
// rows `at` and on of a contiguous one.
void CopyRows(ConstTensorView from, int64_t begin, int64_t count, TensorView to,
              int64_t at) {
  const int64_t width = from.shape[1] * from.shape[2];
  for (int64_t r = 0; r < count; ++r) {
    std::memcpy(to.f32() + (at + r) * width,
                from.f32() + (begin + r) * from.stride[0],
                width * sizeof(float));
  }
}

// Rows [begin, end) of a contiguous [rows, heads, D], as [1, n, heads, D].
TensorView RowsOf(const Tensor& tensor, int64_t begin, int64_t end) {
  const int64_t heads = tensor.dim(1), dim = tensor.dim(2);
  return TensorView(tensor.f32() + begin * heads * dim,
                    {1, end - begin, heads, dim});
}

}  // namespace

HybridCache::HybridCache(const LayerContext& layer, uint8_t terms,
                         int64_t max_rows)
    : terms_(terms) {
  const StudentConfig& config = layer.adapters->config();
  const int64_t window = config.attention.window;
  past_rows_ = config.attention.window_kind == kernels::WindowKind::kSliding
                   ? window - 1
                   : 2 * window - 1;
  // Spare room makes moving the window back to the start rare.
  const int64_t rows = past_rows_ + std::max(max_rows, past_rows_ + 1);
  const int64_t kv = layer.kv_heads(), dim = layer.head_dim();
  keys_ = Tensor::Zeros(DType::kF32, {rows, kv, dim});
  values_ = Tensor::Zeros(DType::kF32, {rows, kv, dim});
  const int64_t sinks = std::max<int64_t>(config.attention.sinks, 1);
  sink_keys_ = Tensor::Zeros(DType::kF32, {sinks, kv, dim});
  sink_values_ = Tensor::Zeros(DType::kF32, {sinks, kv, dim});
  const int64_t features =
      kernels::FeatureMapOutputs(config.attention.feature_map, config.features);
  state_ = Tensor::Zeros(DType::kF32, {1, layer.heads(), features, dim});
  state_norm_ = Tensor::Zeros(DType::kF32, {1, layer.heads(), features});
  Reset();
}

void HybridCache::Reset() {
  // The rows before the sequence are masked, but must be there.
  std::memset(keys_.f32(), 0, keys_.bytes());
  std::memset(values_.f32(), 0, values_.bytes());
  std::memset(state_.f32(), 0, state_.bytes());
  std::memset(state_norm_.f32(), 0, state_norm_.bytes());
  end_ = past_rows_;
  length_ = 0;
}

size_t HybridCache::bytes() const {
  return keys_.bytes() + values_.bytes() + sink_keys_.bytes() +
         sink_values_.bytes() + state_.bytes() + state_norm_.bytes();
}

void HybridCache::Append(const QkvViews& rows) {
  const int64_t count = rows.k.shape[0];
  const int64_t sinks = std::min(sink_keys_.dim(0), length_ + count) - length_;
  if (sinks > 0) {
    CopyRows(rows.k, 0, sinks, sink_keys_, length_);
    CopyRows(rows.v, 0, sinks, sink_values_, length_);
  }
  if (end_ + count > keys_.dim(0)) {
    // Move what the coming windows can reach to the front.
    const int64_t width = keys_.dim(1) * keys_.dim(2);
    for (const Tensor& t : {keys_, values_}) {
      std::memmove(t.f32(), t.f32() + (end_ - past_rows_) * width,
                   past_rows_ * width * sizeof(float));
    }
    end_ = past_rows_;
  }
  CARACAL_CHECK(end_ + count <= keys_.dim(0)) << count << " rows at once";
  CopyRows(rows.k, 0, count, keys_, end_);
  CopyRows(rows.v, 0, count, values_, end_);
  end_ += count;
  length_ += count;
}

void HybridCache::Attend(Execution& exec, const LayerContext& layer,
                         TensorView qkv, TensorView y) {
  const QkvViews rows = SplitQkv(layer, qkv);
  const auto& config = layer.adapters->config().attention;
  const int64_t heads = layer.heads(), count = qkv.shape[0];
  ArenaScope scratch(exec.arena);
  auto* terms = static_cast<uint8_t*>(exec.arena->Allocate(heads));
  std::memset(terms, terms_, heads);
  const int64_t offsets[2] = {0, count};
  kernels::HybridAttentionInputs in;
  in.q = rows.q;
  in.k = rows.k;
  in.v = rows.v;
  BindFeatureMaps(layer, &in);
  in.offsets = offsets;
  in.sequences = 1;
  in.terms = terms;
  kernels::HybridAttentionPast past;
  past.length = &length_;
  past.past_k = RowsOf(keys_, end_ - past_rows_, end_);
  past.past_v = RowsOf(values_, end_ - past_rows_, end_);
  past.sink_k = RowsOf(sink_keys_, 0, config.sinks);
  past.sink_v = RowsOf(sink_values_, 0, config.sinks);
  past.state = state_;
  past.state_norm = state_norm_;
  kernels::HybridAttentionOutputs out;
  out.y = y.Reshaped({count, heads, layer.head_dim()});
  kernels::HybridAttentionForward(
      exec.ctx, config, in, &past, out,
      exec.arena->AllocateWorkspace(
          kernels::HybridAttentionForwardWorkspaceBytes(exec.ctx, config, in)));
  Append(rows);
}

size_t FullCache::bytes() const {
  return keys_.defined() ? keys_.bytes() + values_.bytes() : 0;
}

void FullCache::Append(const QkvViews& rows) {
  const int64_t count = rows.k.shape[0];
  const int64_t capacity = keys_.defined() ? keys_.dim(0) : 0;
  if (length_ + count > capacity) {
    const int64_t kv = rows.k.shape[1], dim = rows.k.shape[2];
    const int64_t grown =
        std::max<int64_t>({length_ + count, 2 * capacity, 256});
    for (Tensor* t : {&keys_, &values_}) {
      const Tensor old = *t;
      *t = Tensor::Empty(DType::kF32, {grown, kv, dim});
      if (length_ > 0) {
        std::memcpy(t->f32(), old.f32(), length_ * kv * dim * sizeof(float));
      }
    }
  }
  CopyRows(rows.k, 0, count, keys_, length_);
  CopyRows(rows.v, 0, count, values_, length_);
  length_ += count;
}

void FullCache::Attend(Execution& exec, const LayerContext& layer,
                       TensorView qkv, TensorView y) {
  const QkvViews rows = SplitQkv(layer, qkv);
  Append(rows);
  const int64_t count = qkv.shape[0];
  const int64_t offsets[2] = {0, count}, key_offsets[2] = {0, length_};
  const int64_t kv = keys_.dim(1), dim = keys_.dim(2);
  const kernels::CausalAttentionInputs in = {
      .q = rows.q,
      .k = TensorView(keys_.f32(), {length_, kv, dim}),
      .v = TensorView(values_.f32(), {length_, kv, dim}),
      .offsets = offsets,
      .key_offsets = key_offsets,
      .sequences = 1};
  ArenaScope scratch(exec.arena);
  kernels::CausalAttentionForward(
      exec.ctx, in, y.Reshaped({count, layer.heads(), dim}), TensorView(),
      exec.arena->AllocateWorkspace(
          kernels::CausalAttentionWorkspaceBytes(exec.ctx, in)));
}

}  // namespace caracal
