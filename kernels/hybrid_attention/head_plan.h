// One (sequence, head) of a call, resolved: sizes, factors, which terms are
// on, and where its keys and values lie. Included only by hybrid attention's
// SIMD sources.
#ifndef CARACAL_KERNELS_HYBRID_ATTENTION_HEAD_PLAN_H_
#define CARACAL_KERNELS_HYBRID_ATTENTION_HEAD_PLAN_H_

#include <cstdint>

#include "kernels/feature_map/feature_map_block.h"
#include "kernels/hybrid_attention/hybrid_attention_args.h"

namespace caracal::kernels::CARACAL_SIMD_NS {

using namespace ::caracal::CARACAL_SIMD_NS;  // NOLINT: Vec and products

inline int64_t Least(int64_t a, int64_t b) { return a < b ? a : b; }
inline int64_t Greatest(int64_t a, int64_t b) { return a > b ? a : b; }
inline int64_t Clamp(int64_t x, int64_t low, int64_t high) {
  return x < low ? low : x > high ? high : x;
}
// n samples as whole vectors.
inline int LanesFor(int64_t n) {
  return static_cast<int>((n + Vec::kLanes - 1) / Vec::kLanes * Vec::kLanes);
}

// A run of keys at a constant distance in memory.
struct KeyRun {
  const float* k;
  const float* v;
  int64_t k_stride, v_stride;
  int64_t count;
};

// Positions are absolute in the sequence.
struct HeadPlan {
  HeadPlan(const HybridAttentionArgs<float>& args, int64_t sequence,
           int64_t head);

  // Left border of the window of query n; and the first query whose window
  // has left key j behind.
  int64_t WindowBegin(int64_t n) const {
    const int64_t start =
        terraced ? ((n + phase) / W - 1) * W - phase : n - W + 1;
    return Greatest(start, 0);
  }
  int64_t NearEnd(int64_t j) const {
    return terraced ? ((j + phase) / W + 2) * W - phase : j + W;
  }
  // Keys [j, end) from j on, as far as they lie in one piece.
  KeyRun Keys(int64_t j, int64_t end) const;

  int64_t D, F, Fout;
  int64_t first_row;  // of the call's rows
  int64_t past, end;  // the call's queries are positions [past, end)
  int64_t grid;       // key blocks start at grid + i * kBlock
  int64_t W, S;
  bool terraced;
  int64_t phase;  // of terraces: the first block is that much short of W
  bool affine;
  float gamma, alpha;
  float score_scale;  // 1 / sqrt(D)

  // Softmax terms by key class, linear terms by set.
  bool near_softmax, near_sink_softmax, far_sink_softmax;
  bool linear_past, linear_near;
  bool any_softmax, any_linear;

  const float* q;  // of the first query
  int64_t q_stride;
  KeyRun call, cache, sink;  // counts unused; cache starts at `grid`
  const float* weight_q;
  const float* weight_k;
  const float* bias_q;
  const float* bias_k;
  const FeatureMapBlock* map;
};

inline HeadPlan::HeadPlan(const HybridAttentionArgs<float>& args,
                          int64_t sequence, int64_t head)
    : D(args.D), F(args.F), Fout(args.Fout) {
  const int64_t kv = args.kv_head(head);
  first_row = args.begin(sequence);
  past = args.past(sequence);
  end = past + args.length(sequence);
  // Longer windows than any sequence are all alike.
  W = Least(args.config.window, int64_t{1} << 40);
  S = args.config.sinks;
  const WindowKind kind = args.config.window_kind;
  terraced = kind != WindowKind::kSliding;
  phase = kind == WindowKind::kLolcatsTerraced ? LolcatsPhase(W, end) : 0;
  grid = WindowBegin(past);

  affine = args.config.affine;
  const uint8_t terms = args.terms_of(sequence, head);
  near_softmax = terms & kNearTerms;
  near_sink_softmax = terms & kNearSinkTerms;
  far_sink_softmax = terms & kFarSinkTerms;
  linear_past = terms & kLinearPastTerms;
  linear_near = (terms & kLinearNearTerms) ||
                (linear_past && NearKeysAreLinear(kind, W, end));
  any_softmax = near_softmax || near_sink_softmax || far_sink_softmax;
  any_linear = linear_past || linear_near;
  if (linear_past && linear_near && !any_softmax && args.row_max == nullptr &&
      args.past_length == nullptr) {
    // All keys are linear: the window means nothing, so take the smallest.
    W = 1;
    S = 0;
    terraced = false;
    phase = 0;
  }

  const double w = args.window_factor[head];
  const double sigmoid = 1.0 / (1.0 + __builtin_exp(-w));
  gamma = static_cast<float>(sigmoid);
  // 1 - sigmoid(w) = sigmoid(-w), without cancellation.
  alpha = affine ? static_cast<float>(1.0 / (1.0 + __builtin_exp(w))) : 1.0f;
  score_scale = static_cast<float>(1.0 / __builtin_sqrt(D));

  q = args.q.at(first_row, head);
  q_stride = args.q.row;
  call = {args.k.at(first_row, kv), args.v.at(first_row, kv), args.k.row,
          args.v.row, 0};
  cache = sink = {nullptr, nullptr, 0, 0, 0};
  if (past > grid) {
    const int64_t row = args.past_rows - (past - grid);
    cache = {args.past_k.at(sequence, row, kv),
             args.past_v.at(sequence, row, kv), args.past_k.row,
             args.past_v.row, 0};
  }
  if (grid > 0 && S > 0) {
    sink = {args.sink_k.at(sequence, 0, kv), args.sink_v.at(sequence, 0, kv),
            args.sink_k.row, args.sink_v.row, 0};
  }

  const int64_t table = args.map_of(head), weights = table * D * F;
  weight_q = args.weight_q == nullptr ? nullptr : args.weight_q + weights;
  weight_k = args.weight_k == nullptr ? nullptr : args.weight_k + weights;
  bias_q = args.bias_q == nullptr ? nullptr : args.bias_q + table * F;
  bias_k = args.bias_k == nullptr ? nullptr : args.bias_k + table * F;
  map = &FeatureMapBlockOf(args.config.feature_map);
}

inline KeyRun HeadPlan::Keys(int64_t j, int64_t end_position) const {
  const KeyRun* run = &sink;
  int64_t first = 0, last = grid;
  if (j >= past) {
    run = &call;
    first = past;
    last = end;
  } else if (j >= grid) {
    run = &cache;
    first = grid;
    last = past;
  }
  return {run->k + (j - first) * run->k_stride,
          run->v + (j - first) * run->v_stride, run->k_stride, run->v_stride,
          Least(last, end_position) - j};
}

// Rows of one head lie far apart in memory, a few cache lines at a time, which
// no hardware prefetcher follows: ask for them a block ahead.
inline void PrefetchRows(const float* rows, int64_t stride, int64_t count,
                         int64_t D) {
  for (int64_t i = 0; i < count; ++i) Prefetch(rows + i * stride, D);
}

// Queries, keys and values of positions [begin, begin + kBlock) of the call.
inline void PrefetchBlock(const HeadPlan& plan, int64_t begin) {
  const int64_t count = Least(plan.end - begin, kBlock);
  if (count <= 0) return;
  const int64_t row = begin - plan.past;
  PrefetchRows(plan.q + row * plan.q_stride, plan.q_stride, count, plan.D);
  PrefetchRows(plan.call.k + row * plan.call.k_stride, plan.call.k_stride,
               count, plan.D);
  PrefetchRows(plan.call.v + row * plan.call.v_stride, plan.call.v_stride,
               count, plan.D);
}

// phi_k, transposed [Fout, kBlock], of keys [begin, end), at most kBlock of
// them. `xt` [D, kBlock] is scratch.
inline void KeyFeatures(const HeadPlan& plan, int64_t begin, int64_t end,
                        float* xt, float* phi) {
  const int lanes = LanesFor(end - begin);
  for (int64_t d = 0; d < plan.D; ++d) {
    for (int64_t l = end - begin; l < lanes; ++l) xt[d * kBlock + l] = 0;
  }
  for (int64_t j = begin; j < end;) {
    const KeyRun run = plan.Keys(j, end);
    Transpose(run.count, plan.D, run.k, run.k_stride, xt + (j - begin), kBlock);
    j += run.count;
  }
  FeaturesOf(*plan.map, plan.D, plan.F, lanes, xt, plan.weight_k, plan.bias_k,
             phi);
}

}  // namespace caracal::kernels::CARACAL_SIMD_NS

#endif  // CARACAL_KERNELS_HYBRID_ATTENTION_HEAD_PLAN_H_
