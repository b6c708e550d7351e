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

// z [F] = x W (+ b) of one row.
inline void ProjectRow(const HeadPlan& plan, const float* x,
                       const float* weight, const float* bias, float* z) {
  RowTimesMatrix<Update::kAssign>(plan.F, plan.D, x, weight, plan.F, z);
  for (int64_t f = 0; bias != nullptr && f < plan.F; ++f) z[f] += bias[f];
}

// phi_q [Fout] = alpha * features of the query and phi_k [Fout] = features of
// `key` [D], mapped together, a lane each. `block` [Fout, kBlock] is scratch.
inline void PairFeatures(const HeadPlan& plan, const float* key, float* block,
                         float* phi_q, float* phi_k) {
  ProjectRow(plan, plan.q, plan.weight_q, plan.bias_q, phi_q);
  ProjectRow(plan, key, plan.weight_k, plan.bias_k, phi_k);
  for (int64_t f = 0; f < plan.F; ++f) {
    Store(block + f * kBlock, SelectFirst(1, Set(phi_q[f]), Set(phi_k[f])));
  }
  plan.map->forward(plan.F, Vec::kLanes, block, block);
  for (int64_t f = 0; f < plan.Fout; ++f) {
    phi_q[f] = plan.alpha * block[f * kBlock];
    phi_k[f] = block[f * kBlock + 1];
  }
}

// V vectors of columns of: y += phi_q^T state, then state += phi_k v^T.
template <int V>
inline void StatePanel(int64_t Fout, int64_t D, int tail, const float* phi_q,
                       const float* phi_k, const float* v, float* sum,
                       float* y) {
  constexpr int L = Vec::kLanes;
  Vec value[V], out[V];
#pragma GCC unroll 4
  for (int i = 0; i < V; ++i) {
    value[i] = LoadN(v + i * L, tail);
    out[i] = LoadN(y + i * L, tail);
  }
  for (int64_t f = 0; f < Fout; ++f, sum += D) {
    const Vec q = Set(phi_q[f]), k = Set(phi_k[f]);
#pragma GCC unroll 4
    for (int i = 0; i < V; ++i) {
      const Vec state = LoadN(sum + i * L, tail);
      out[i] = Fma(q, state, out[i]);
      StoreN(sum + i * L, Fma(k, value[i], state), tail);
    }
  }
#pragma GCC unroll 4
  for (int i = 0; i < V; ++i) StoreN(y + i * L, out[i], tail);
}

// Reads the state for the query and adds the key that leaves the window, in
// one pass.
inline void ReadAndAdd(const HeadPlan& plan, const float* phi_q,
                       const float* phi_k, const float* v, LinearState& state,
                       float* y, float& den) {
  constexpr int L = Vec::kLanes;
  int64_t d = 0;
  for (; d + 4 * L <= plan.D; d += 4 * L) {
    StatePanel<4>(plan.Fout, plan.D, L, phi_q, phi_k, v + d, state.sum + d,
                  y + d);
  }
  for (; d < plan.D; d += L) {
    StatePanel<1>(plan.Fout, plan.D, static_cast<int>(Least(L, plan.D - d)),
                  phi_q, phi_k, v + d, state.sum + d, y + d);
  }
  DotRows(1, plan.Fout, phi_q, state.norm, 0, &den);
  for (int64_t f = 0; f < plan.Fout; ++f) state.norm[f] += phi_k[f];
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

// The linear part of the row, and the keys [plan.grid, to) that leave the
// window after it.
inline void DecodeLinear(const HeadPlan& plan, int64_t to, LinearState& state,
                         BlockForward& fwd) {
  const int64_t begin = Greatest(plan.grid, plan.S);
  float* const phi_q = fwd.linear;
  float* const phi_k = fwd.weights;
  if (to - begin == 1 && plan.linear_past) {
    const KeyRun key = plan.Keys(begin, to);
    PairFeatures(plan, key.k, fwd.phi_q, phi_q, phi_k);
    ReadAndAdd(plan, phi_q, phi_k, key.v, state, fwd.y, fwd.linear_den[0]);
    return;
  }
  if (plan.linear_past) {
    PairFeatures(plan, plan.q, fwd.phi_q, phi_q, phi_k);
    DotRows(1, plan.Fout, phi_q, state.norm, 0, fwd.linear_den);
    RowTimesMatrix<Update::kAdd>(plan.D, plan.Fout, phi_q, state.sum, plan.D,
                                 fwd.y);
  }
  for (int64_t j = begin; j < to; j += kBlock) {
    const int64_t last = Least(j + kBlock, to);
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
  if (!state.empty) {
    DecodeLinear(plan, plan.WindowBegin(plan.end), state, fwd);
  }
  WriteBlock(args, plan, {plan.past, 1, Vec::kLanes}, head, fwd);
}

}  // namespace caracal::kernels::CARACAL_SIMD_NS

#endif  // CARACAL_KERNELS_HYBRID_ATTENTION_DECODE_ROW_H_
