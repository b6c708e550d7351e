#include "kernels/hybrid_attention/bind_args.h"

#include <algorithm>

namespace caracal::kernels {
namespace {

template <typename View>
auto* Flat(View view, int64_t size) {
  using Pointer = decltype(view.f32());
  if (!view.defined()) return Pointer{nullptr};
  CARACAL_CHECK(view.contiguous());
  CARACAL_CHECK_EQ(view.size(), size);
  return view.f32();
}

// [sequences, rows, Hkv, D] with at least `rows` rows.
CacheOf<const float> Cache(ConstTensorView view, int64_t rows,
                           const HybridAttentionArgs<float>& args) {
  if (rows == 0 && !view.defined()) return {};
  CARACAL_CHECK_EQ(view.rank, 4);
  CARACAL_CHECK_EQ(view.shape[0], args.sequences);
  CARACAL_CHECK(view.shape[1] >= rows) << view.shape[1] << " of " << rows;
  CARACAL_CHECK_EQ(view.shape[2], args.kv_heads);
  CARACAL_CHECK_EQ(view.shape[3], args.D);
  CARACAL_CHECK(args.D == 1 || view.stride[3] == 1);
  return {view.f32(), view.stride[0], view.stride[1], view.stride[2]};
}

bool AnyLinear(const HybridAttentionInputs& in, int64_t heads) {
  const uint8_t* end = in.terms + in.sequences * heads;
  return std::any_of(in.terms, end, [](uint8_t terms) {
    return terms & (kLinearPastTerms | kLinearNearTerms);
  });
}

}  // namespace

float* BindFlat(TensorView view, int64_t size) { return Flat(view, size); }

const float* BindFlat(ConstTensorView view, int64_t size) {
  return Flat(view, size);
}

int64_t LongestSequence(const HybridAttentionInputs& in) {
  int64_t longest = 0;
  for (int64_t i = 0; i < in.sequences; ++i) {
    longest = std::max(longest, in.offsets[i + 1] - in.offsets[i]);
  }
  return longest;
}

HybridAttentionArgs<float> BindInputs(const HybridAttentionConfig& config,
                                      const HybridAttentionInputs& in) {
  CARACAL_CHECK(config.window >= 1) << "window " << config.window;
  CARACAL_CHECK(config.sinks >= 0) << "sinks " << config.sinks;
  CARACAL_CHECK_EQ(in.q.rank, 3);
  CARACAL_CHECK_EQ(in.k.rank, 3);
  HybridAttentionArgs<float> args;
  args.config = config;
  args.rows = in.q.shape[0];
  args.heads = in.q.shape[1];
  args.D = in.q.shape[2];
  args.kv_heads = in.k.shape[1];
  CARACAL_CHECK(args.D >= 1) << "head dimension " << args.D;
  CARACAL_CHECK(args.kv_heads >= 1 && args.heads % args.kv_heads == 0)
      << args.heads << " heads over " << args.kv_heads;
  args.q = BindHeadRows<const float>(in.q, args.rows, args.heads, args.D);
  args.k = BindHeadRows<const float>(in.k, args.rows, args.kv_heads, args.D);
  args.v = BindHeadRows<const float>(in.v, args.rows, args.kv_heads, args.D);

  CARACAL_CHECK(in.offsets != nullptr && in.terms != nullptr);
  CARACAL_CHECK_EQ(in.offsets[0], 0);
  CARACAL_CHECK_EQ(in.offsets[in.sequences], args.rows);
  for (int64_t i = 0; i < in.sequences; ++i) {
    CARACAL_CHECK(in.offsets[i] <= in.offsets[i + 1]) << "sequence " << i;
  }
  args.offsets = in.offsets;
  args.terms = in.terms;
  args.sequences = in.sequences;

  // Without a linear term anywhere the feature maps may be absent.
  if (in.weight_q.defined() || AnyLinear(in, args.heads)) {
    CARACAL_CHECK_EQ(in.weight_q.rank, 3);
    args.maps = in.weight_q.shape[0];
    args.F = in.weight_q.shape[2];
    args.Fout = FeatureMapOutputs(config.feature_map, args.F);
    CARACAL_CHECK(args.F >= 1 && args.Fout <= 2048) << "features " << args.F;
    CARACAL_CHECK(args.maps == 1 || args.maps == args.heads)
        << args.maps << " feature maps for " << args.heads << " heads";
    const int64_t size = args.maps * args.D * args.F;
    args.weight_q = BindFlat(in.weight_q, size);
    args.weight_k = BindFlat(in.weight_k, size);
    CARACAL_CHECK(args.weight_q != nullptr && args.weight_k != nullptr);
    args.bias_q = BindFlat(in.bias_q, args.maps * args.F);
    args.bias_k = BindFlat(in.bias_k, args.maps * args.F);
  }
  args.window_factor = BindFlat(in.window_factor, args.heads);
  CARACAL_CHECK(args.window_factor != nullptr);
  return args;
}

void BindPast(const HybridAttentionPast& past,
              HybridAttentionArgs<float>& args) {
  CARACAL_CHECK(past.length != nullptr);
  const HybridAttentionConfig& config = args.config;
  CARACAL_CHECK(config.window_kind != WindowKind::kLolcatsTerraced)
      << "a window counted from the end has no past";
  int64_t window_rows = 0, sink_rows = 0;
  for (int64_t i = 0; i < args.sequences; ++i) {
    const int64_t length = past.length[i];
    CARACAL_CHECK(length >= 0) << "sequence " << i;
    const int64_t start =
        WindowStart(config.window_kind, config.window, length, length + 1);
    window_rows = std::max(window_rows, length - start);
    sink_rows = std::max(sink_rows, std::min(config.sinks, start));
  }
  args.past_length = past.length;
  args.past_k = Cache(past.past_k, window_rows, args);
  args.past_v = Cache(past.past_v, window_rows, args);
  args.past_rows = past.past_k.defined() ? past.past_k.shape[1] : 0;
  args.sink_k = Cache(past.sink_k, sink_rows, args);
  args.sink_v = Cache(past.sink_v, sink_rows, args);
  if (!past.state.defined()) {
    for (int64_t i = 0; i < args.sequences * args.heads; ++i) {
      CARACAL_CHECK(!(args.terms[i] & (kLinearPastTerms | kLinearNearTerms)))
          << "linear terms need a state";
    }
    return;
  }
  CARACAL_CHECK(args.weight_q != nullptr) << "a state needs feature maps";
  CARACAL_CHECK_EQ(past.state.rank, 4);
  CARACAL_CHECK_EQ(past.state.shape[0], args.sequences);
  CARACAL_CHECK_EQ(past.state.shape[1], args.heads);
  CARACAL_CHECK_EQ(past.state.shape[2], args.Fout);
  CARACAL_CHECK_EQ(past.state.shape[3], args.D);
  CARACAL_CHECK(past.state.stride[3] == 1 && past.state.stride[2] == args.D);
  CARACAL_CHECK_EQ(past.state_norm.rank, 3);
  CARACAL_CHECK_EQ(past.state_norm.shape[0], args.sequences);
  CARACAL_CHECK_EQ(past.state_norm.shape[1], args.heads);
  CARACAL_CHECK_EQ(past.state_norm.shape[2], args.Fout);
  CARACAL_CHECK_EQ(past.state_norm.stride[2], 1);
  args.state = past.state.f32();
  args.state_sequence = past.state.stride[0];
  args.state_head = past.state.stride[1];
  args.state_norm = past.state_norm.f32();
  args.norm_sequence = past.state_norm.stride[0];
  args.norm_head = past.state_norm.stride[1];
}

void BindOutputs(const HybridAttentionOutputs& out,
                 HybridAttentionArgs<float>& args) {
  args.y = BindHeadRows<float>(out.y, args.rows, args.heads, args.D);
  CARACAL_CHECK(args.y.data != nullptr);
  args.row_max = BindFlat(out.row_max, args.heads * args.rows);
  args.softmax_den = BindFlat(out.softmax_den, args.heads * args.rows);
  args.linear_den = BindFlat(out.linear_den, args.heads * args.rows);
}

}  // namespace caracal::kernels
