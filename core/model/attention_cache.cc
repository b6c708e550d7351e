#include "core/model/attention_cache.h"

#include <algorithm>
#include <cstring>

#include "core/model/ops/attention.h"
#include "kernels/causal_attention/causal_attention.h"

namespace caracal {
namespace {

// Room for keys to come, at least.
constexpr int64_t kSpareRows = 64;

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

HybridCache::HybridCache(const LayerContext& layer, const uint8_t* terms)
    : terms_(terms, terms + layer.heads()) {
  const StudentConfig& config = layer.adapters->config();
  const int64_t window = layer.attention().window;
  past_rows_ = config.attention.window_kind == kernels::WindowKind::kTerraced
                   ? 2 * window - 1
                   : window - 1;
  sinks_ = layer.attention().sinks;
  const int64_t kv = layer.kv_heads(), dim = layer.head_dim();
  for (Tensor* t : {&keys_, &values_, &sink_keys_, &sink_values_}) {
    *t = Tensor::Empty(DType::kF32, {1, kv, dim});
  }
  const int64_t features =
      kernels::FeatureMapOutputs(config.attention.feature_map, config.features);
  state_ = Tensor::Zeros(DType::kF32, {1, layer.heads(), features, dim});
  state_norm_ = Tensor::Zeros(DType::kF32, {1, layer.heads(), features});
}

void HybridCache::Reset() {
  std::memset(state_.f32(), 0, state_.bytes());
  std::memset(state_norm_.f32(), 0, state_norm_.bytes());
  end_ = 0;
  length_ = 0;
}

size_t HybridCache::bytes() const {
  return keys_.bytes() + values_.bytes() + sink_keys_.bytes() +
         sink_values_.bytes() + state_.bytes() + state_norm_.bytes();
}

void HybridCache::MakeRoom(int64_t count) {
  const int64_t capacity = keys_.dim(0), kept = kept_rows();
  if (end_ + count <= capacity) return;
  // What is kept is moved to the front; as much spare room again makes that
  // rare. It stops growing once the window is full.
  const int64_t needed = 2 * kept + std::max<int64_t>(count, kSpareRows);
  const int64_t width = keys_.dim(1) * keys_.dim(2);
  for (Tensor* t : {&keys_, &values_}) {
    const Tensor old = *t;
    if (needed > capacity) {
      *t = Tensor::Empty(DType::kF32, {needed, old.dim(1), old.dim(2)});
    }
    std::memmove(t->f32(), old.f32() + (end_ - kept) * width,
                 kept * width * sizeof(float));
  }
  end_ = kept;
  CARACAL_CHECK(end_ + count <= keys_.dim(0)) << count << " rows at once";
}

void HybridCache::Append(const QkvViews& rows) {
  const int64_t count = rows.k.shape[0];
  const int64_t sinks = std::min(sinks_, length_ + count) - length_;
  if (sinks > 0) {
    const int64_t held = length_, capacity = sink_keys_.dim(0);
    if (held + sinks > capacity) {
      for (Tensor* t : {&sink_keys_, &sink_values_}) {
        const Tensor old = *t;
        *t = Tensor::Empty(
            DType::kF32,
            {std::min(sinks_, std::max(2 * capacity, held + sinks)), old.dim(1),
             old.dim(2)});
        CopyRows(TensorView(old), 0, held, *t, 0);
      }
    }
    CopyRows(rows.k, 0, sinks, sink_keys_, held);
    CopyRows(rows.v, 0, sinks, sink_values_, held);
  }
  MakeRoom(count);
  CopyRows(rows.k, 0, count, keys_, end_);
  CopyRows(rows.v, 0, count, values_, end_);
  end_ += count;
  length_ += count;
}

void HybridCache::Attend(Execution& exec, const LayerContext& layer,
                         TensorView qkv, TensorView y) {
  const QkvViews rows = SplitQkv(layer, qkv);
  kernels::HybridAttentionConfig config = layer.attention();
  const int64_t heads = layer.heads(), count = qkv.shape[0];
  const int64_t offsets[2] = {0, count};
  kernels::HybridAttentionInputs in;
  in.q = rows.q;
  in.k = rows.k;
  in.v = rows.v;
  BindFeatureMaps(layer, &in);
  in.offsets = offsets;
  in.sequences = 1;
  in.terms = terms_.data();
  y = y.Reshaped({count, heads, layer.head_dim()});
  ArenaScope scratch(exec.arena);
  if (config.window_kind == kernels::WindowKind::kLolcatsTerraced) {
    const kernels::HybridAttentionConfig whole = config;
    config.window_kind = kernels::WindowKind::kSliding;
    if (length_ == 0) {
      // The prompt's outputs, and apart from them the state that decoding goes
      // on from: of no terms, so that it is all the other pass makes.
      kernels::HybridAttentionOutputs out;
      out.y = y;
      kernels::HybridAttentionForward(
          exec.ctx, whole, in, /*past=*/nullptr, out,
          exec.arena->AllocateWorkspace(
              kernels::HybridAttentionForwardWorkspaceBytes(exec.ctx, whole,
                                                            in)));
      auto* none = static_cast<uint8_t*>(exec.arena->Allocate(heads));
      std::memset(none, kernels::kNoTerms, heads);
      in.terms = none;
      y = exec.arena->AllocateF32({count, heads, layer.head_dim()});
    } else {
      CARACAL_CHECK_EQ(count, 1);
    }
  }
  AttendOn(exec, config, in, y);
  Append(rows);
}

void HybridCache::AttendOn(Execution& exec,
                           const kernels::HybridAttentionConfig& config,
                           const kernels::HybridAttentionInputs& in,
                           TensorView y) {
  kernels::HybridAttentionPast past;
  past.length = &length_;
  const int64_t held_sinks = std::min(sinks_, length_);
  past.past_k = RowsOf(keys_, end_ - kept_rows(), end_);
  past.past_v = RowsOf(values_, end_ - kept_rows(), end_);
  past.sink_k = RowsOf(sink_keys_, 0, held_sinks);
  past.sink_v = RowsOf(sink_values_, 0, held_sinks);
  past.state = state_;
  past.state_norm = state_norm_;
  kernels::HybridAttentionOutputs out;
  out.y = y;
  kernels::HybridAttentionForward(
      exec.ctx, config, in, &past, out,
      exec.arena->AllocateWorkspace(
          kernels::HybridAttentionForwardWorkspaceBytes(exec.ctx, config, in)));
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
