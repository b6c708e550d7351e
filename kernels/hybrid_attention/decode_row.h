// The forward of a single query, as decoding asks for: no blocks, so its cost
// is that of reading the window, the weights and the state once. Included only
// by hybrid attention's SIMD sources.
#ifndef CARACAL_KERNELS_HYBRID_ATTENTION_DECODE_ROW_H_
#define CARACAL_KERNELS_HYBRID_ATTENTION_DECODE_ROW_H_

#include <cstdint>

#include "kernels/hybrid_attention/forward_head.h"

namespace caracal::kernels::CARACAL_SIMD_NS {

// Linear terms of the window's own keys would need all their features: the
// block code is better at that.
inline bool CanDecode(const HeadPlan& plan) {
  return plan.end - plan.past == 1 && !plan.linear_near;
}

// phi [Fout] = scale * features of one x [D]. `block` [Fout, kBlock] scratch.
inline void RowFeatures(const HeadPlan& plan, const float* x,
                        const float* weight, const float* bias, float scale,
                        float* block, float* phi) {
  RowTimesMatrix<Update::kAssign>(plan.F, plan.D, x, weight, plan.F, phi);
  for (int64_t f = 0; f < plan.F; ++f) {
    Store(block + f * kBlock, Set(bias == nullptr ? phi[f] : phi[f] + bias[f]));
  }
  plan.map->forward(plan.F, Vec::kLanes, block, block);
  for (int64_t f = 0; f < plan.Fout; ++f) phi[f] = scale * block[f * kBlock];
}

// weights [count] = gamma exp(scores - top), or 0 if the terms are off.
inline void RowWeights(const HeadPlan& plan, const float* scores, float top,
                       int64_t begin, int64_t end, bool on, float* weights,
                       float& den) {
  const Vec gamma = Set(plan.gamma), scale = Set(plan.score_scale);
  Vec sum = Zero();
  for (int64_t i = begin; i < end; i += Vec::kLanes) {
    const int n = static_cast<int>(Least(Vec::kLanes, end - i));
    Vec weight = Zero();
    if (on) {
      weight = gamma * Exp((LoadN(scores + i, n) - Set(top)) * scale);
      weight = SelectFirst(n, weight, Zero());
    }
    StoreN(weights + i, weight, n);
    sum = sum + weight;
  }
  den += ReduceAdd(sum);
}

// The softmax part of the row: keys are the far sinks, then the window.
inline void DecodeSoftmax(const HeadPlan& plan, bool scores_wanted,
                          BlockForward& fwd) {
  const int64_t n = plan.past, far = Least(plan.S, plan.grid);
  const int64_t keys = far + n + 1 - plan.grid;
  float* const scores = fwd.scores;
  float* const weights = fwd.weights;
  fwd.softmax_den[0] = 0;
  if (!plan.any_softmax && !scores_wanted) return;
  const auto for_runs = [&](auto fn) {
    for (int64_t j = 0; j < far;) {
      const KeyRun run = plan.Keys(j, far);
      fn(run, j);
      j += run.count;
    }
    for (int64_t j = plan.grid; j <= n;) {
      const KeyRun run = plan.Keys(j, n + 1);
      fn(run, far + j - plan.grid);
      j += run.count;
    }
  };
  for_runs([&](const KeyRun& run, int64_t at) {
    DotRows(run.count, plan.D, plan.q, run.k, run.k_stride, scores + at);
  });
  float top = scores[0];
  for (int64_t i = 1; i < keys; ++i) top = scores[i] > top ? scores[i] : top;
  fwd.row_max[0] = top;
  if (!plan.any_softmax) return;
  // Far sinks, sinks in the window, the rest of the window.
  const int64_t near_sinks = Clamp(plan.S - plan.grid, 0, keys - far);
  float& den = fwd.softmax_den[0];
  RowWeights(plan, scores, top, 0, far, plan.far_sink_softmax, weights, den);
  RowWeights(plan, scores, top, far, far + near_sinks, plan.near_sink_softmax,
             weights, den);
  RowWeights(plan, scores, top, far + near_sinks, keys, plan.near_softmax,
             weights, den);
  for_runs([&](const KeyRun& run, int64_t at) {
    RowTimesMatrix<Update::kAdd>(plan.D, run.count, weights + at, run.v,
                                 run.v_stride, fwd.y);
  });
}

// Adds keys [begin, end), which leave the window after this query.
inline void DecodeState(const HeadPlan& plan, int64_t begin, int64_t end,
                        BlockForward& fwd, LinearState& state) {
  begin = Greatest(begin, plan.S);
  if (end - begin == 1) {
    const KeyRun run = plan.Keys(begin, end);
    float* const phi = fwd.linear;
    RowFeatures(plan, run.k, plan.weight_k, plan.bias_k, 1.0f, fwd.phi_q, phi);
    for (int64_t f = 0; f < plan.Fout; ++f) {
      // One row of the product phi^T v.
      Gemm<Layout::kRows, Update::kAdd>(1, plan.D, 1, phi + f, 1, run.v, 0,
                                        state.sum + f * plan.D, 0);
      state.norm[f] += phi[f];
    }
    return;
  }
  for (int64_t j = begin; j < end; j += kBlock) {
    const int64_t last = Least(j + kBlock, end);
    KeyFeatures(plan, j, last, fwd.qt, fwd.phi_q);
    UpdateState(plan, j, last, j, fwd.phi_q, state);
  }
}

// `state.empty`: there is none to read or to keep.
inline void DecodeRow(const HybridAttentionArgs<float>& args,
                      const HeadPlan& plan, int64_t head, LinearState& state,
                      BlockForward& fwd) {
  for (int64_t d = 0; d < plan.D; ++d) fwd.y[d] = 0;
  fwd.linear_den[0] = 0;
  DecodeSoftmax(plan, args.row_max != nullptr, fwd);
  if (plan.linear_past && !state.empty) {
    float* const phi = fwd.linear;
    RowFeatures(plan, plan.q, plan.weight_q, plan.bias_q, plan.alpha, fwd.phi_q,
                phi);
    DotRows(1, plan.Fout, phi, state.norm, 0, fwd.linear_den);
    RowTimesMatrix<Update::kAdd>(plan.D, plan.Fout, phi, state.sum, plan.D,
                                 fwd.y);
  }
  WriteBlock(args, plan, {plan.past, 1, Vec::kLanes}, head, fwd);
  if (!state.empty) {
    DecodeState(plan, plan.grid, plan.WindowBegin(plan.end), fwd, state);
  }
}

}  // namespace caracal::kernels::CARACAL_SIMD_NS

#endif  // CARACAL_KERNELS_HYBRID_ATTENTION_DECODE_ROW_H_
