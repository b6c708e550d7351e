// The backward of one (sequence, head): over the blocks of queries with the
// state of the keys behind them, then back over the blocks of keys with the
// reverse state of the queries ahead. Included only by hybrid attention's
// SIMD sources.
#ifndef CARACAL_KERNELS_HYBRID_ATTENTION_BACKWARD_HEAD_H_
#define CARACAL_KERNELS_HYBRID_ATTENTION_BACKWARD_HEAD_H_

#include <cstdint>

#include "kernels/hybrid_attention/block_backward.h"
#include "kernels/hybrid_attention/forward_head.h"

namespace caracal::kernels::CARACAL_SIMD_NS {

inline void Fill(float* data, int64_t count) {
  for (int64_t i = 0; i < count; ++i) data[i] = 0;
}

inline BackwardArena AttentionBackwardArena(
    const HybridAttentionArgs<float>& args, int64_t longest, void* memory) {
  return {args, longest, Least(MaxLocalKeys(args.config), longest + kBlock),
          memory};
}

// First key of the tile of the block of queries from q0 on: the state holds
// the key blocks before it.
inline int64_t TileBegin(const HeadPlan& plan, int64_t q0) {
  return plan.WindowBegin(q0) / kBlock * kBlock;
}

// gamma' = gamma (1 - gamma), and alpha' = -gamma' if alpha = 1 - gamma:
// gamma dL/dgamma = -alpha dL/dalpha = -lambda, summed over the queries.
inline void PutWindowFactor(const HeadPlan& plan, const BackwardTask& task,
                            double lambda) {
  *task.dwindow_factor =
      static_cast<float>(-lambda * (plan.affine ? 1.0 : 1.0 - plan.gamma));
}

// First pass. Returns the number of key blocks whose features it computed.
inline int64_t BackwardQueries(const HeadPlan& plan, const BackwardTask& task,
                               const Wanted& want, BackwardArena& a) {
  const int64_t feature_block = plan.Fout * kBlock;
  int64_t ready = 0;
  const auto phi_of = [&](int64_t j) -> const float* {
    for (; ready <= j / kBlock; ++ready) {
      const int64_t begin = ready * kBlock;
      KeyFeatures(plan, begin, Least(begin + kBlock, plan.end), a.xt,
                  a.phi_k + ready * feature_block);
      if (want.phi_k) Fill(a.dphi_k + ready * feature_block, feature_block);
    }
    return a.phi_k + j / kBlock * feature_block + j % kBlock;
  };

  double squared_error = 0, lambda = 0;
  int64_t k0 = 0;
  for (int64_t q0 = 0; q0 < plan.end; q0 += kBlock) {
    const int count = static_cast<int>(Least(kBlock, plan.end - q0));
    const QueryBlock block = {q0, count, LanesFor(count)};
    for (const int64_t to = TileBegin(plan, q0); k0 < to; k0 += kBlock) {
      if (!plan.linear_past) continue;
      UpdateState(plan, k0, k0 + kBlock, k0, phi_of(k0), a.state);
    }
    const int64_t far_sinks = Least(plan.S, k0);
    a.fwd.phi_q = a.phi_q + q0 / kBlock * feature_block;
    a.fwd.segment_count = AppendSegments(plan, block, 0, far_sinks, 0, 0,
                                         phi_of, a.fwd.segments, 0);
    a.fwd.segment_count = AppendSegments(plan, block, k0, q0 + count, 0,
                                         static_cast<int>(far_sinks), phi_of,
                                         a.fwd.segments, a.fwd.segment_count);
    const int64_t row = plan.first_row + q0;
    const HeadRows<const float>& given =
        task.target.data != nullptr ? task.target : task.dy;
    PrefetchBlock(plan, q0 + kBlock);
    PrefetchRows(given.at(row, task.head), given.row, count, plan.D);
    if (want.dq) {
      PrefetchRows(task.dq.at(row, task.head), task.dq.row, count, plan.D);
    }
    RunBlockForward<true>(plan, block, a.state, plan.any_softmax, a.fwd);
    squared_error += Cotangent(plan, block, task, a);
    lambda += RunBlockBackward(plan, block, task, want, a);
    if (!plan.linear_past || k0 == 0) continue;
    for (int64_t i = 0; i < count * plan.D; ++i) {
      a.dy[q0 * plan.D + i] = plan.alpha * a.block_dy[i];
    }
    for (int i = 0; i < kBlock; ++i) {
      a.delta[q0 + i] = i < count ? plan.alpha * a.block_delta[i] : 0.0f;
    }
  }
  if (task.squared_error != nullptr) *task.squared_error = squared_error;
  if (want.dfactor) PutWindowFactor(plan, task, lambda);
  return ready;
}

// reverse += the block of queries from q0 on.
inline void UpdateReverse(const HeadPlan& plan, int64_t q0, BackwardArena& a) {
  const int64_t Fout = plan.Fout, D = plan.D;
  if (a.reverse.empty) {
    Fill(a.reverse.sum, Fout * D);
    Fill(a.reverse.norm, Fout);
    a.reverse.empty = false;
  }
  const float* const phi = a.phi_q + q0 * Fout;
  const int64_t count = Least(kBlock, plan.end - q0);
  Gemm<Layout::kRows, Update::kAdd>(Fout, D, count, phi, kBlock, a.dy + q0 * D,
                                    D, a.reverse.sum, D);
  const int lanes = LanesFor(count);
  for (int64_t f = 0; f < Fout; ++f) {
    Vec sum = Zero();
    for (int l = 0; l < lanes; l += Vec::kLanes) {
      sum = Fma(Load(phi + f * kBlock + l), Load(a.delta + q0 + l), sum);
    }
    a.reverse.norm[f] += ReduceAdd(sum);
  }
}

// What the queries ahead, by way of the state, add to keys [begin, end).
inline void AddReverse(const HeadPlan& plan, const Wanted& want, int64_t begin,
                       int64_t end, BackwardArena& a) {
  const int64_t D = plan.D, Fout = plan.Fout;
  const int first = static_cast<int>(Clamp(plan.S - begin, 0, end - begin));
  const int count = static_cast<int>(end - begin);
  if (first >= count) return;
  const KeyRun run = plan.Keys(begin, end);
  if (want.phi_k) {
    // Sinks are in no state: their lanes stay as they are.
    const int lanes = LanesFor(count);
    Transpose(count, D, run.v, run.v_stride, a.xt, kBlock);
    for (int64_t d = 0; d < D && (first > 0 || count < lanes); ++d) {
      for (int l = 0; l < first; ++l) a.xt[d * kBlock + l] = 0;
      for (int l = count; l < lanes; ++l) a.xt[d * kBlock + l] = 0;
    }
    float* const dphi = a.dphi_k + begin * Fout;
    for (int64_t f = 0; f < Fout; ++f) {
      const Vec norm = Set(a.reverse.norm[f]);
      for (int l = 0; l < lanes; l += Vec::kLanes) {
        float* out = dphi + f * kBlock + l;
        Store(out,
              Load(out) - SelectOrZero(LaneRange(first - l, count - l), norm));
      }
    }
    Gemm<Layout::kRows, Update::kAdd>(Fout, lanes, D, a.reverse.sum, D, a.xt,
                                      kBlock, dphi, kBlock);
  }
  if (want.dv) {
    Gemm<Layout::kColumns, Update::kAdd>(
        count - first, D, Fout, a.phi_k + begin * Fout + first, kBlock,
        a.reverse.sum, D, a.dv + (begin + first) * D, D);
  }
}

// From the gradient of the features of the key block from `begin` on to those
// of the feature map and the keys.
inline void FinishKeyBlock(const HeadPlan& plan, const BackwardTask& task,
                           const Wanted& want, int64_t begin,
                           BackwardArena& a) {
  const int64_t end = Least(begin + kBlock, plan.end);
  float* const dz = a.dphi_k + begin * plan.Fout;
  const int lanes = LanesFor(end - begin);
  plan.map->backward(plan.F, lanes, a.phi_k + begin * plan.Fout, dz);
  const KeyRun run = plan.Keys(begin, end);
  if (want.dweight_k) {
    Gemm<Layout::kRows, Update::kAdd>(plan.F, plan.D, end - begin, dz, kBlock,
                                      run.k, run.k_stride, a.dweight_k_t,
                                      plan.D);
  }
  if (want.dbias_k) AddLanes(plan.F, lanes, dz, task.dbias_k);
  if (want.dk) {
    Gemm<Layout::kColumns, Update::kAdd>(end - begin, plan.D, plan.F, dz,
                                         kBlock, a.weight_k_t, plan.D,
                                         a.dk + begin * plan.D, plan.D);
  }
}

// Second pass, over `ready` key blocks.
inline void BackwardKeys(const HeadPlan& plan, const BackwardTask& task,
                         const Wanted& want, int64_t ready, BackwardArena& a) {
  const int64_t feature_block = plan.Fout * kBlock;
  int64_t q0 = (plan.end - 1) / kBlock * kBlock;
  for (int64_t begin = (ready - 1) * kBlock; begin >= 0; begin -= kBlock) {
    const int64_t end = Least(begin + kBlock, plan.end);
    if (plan.linear_past) {
      for (; q0 >= 0 && TileBegin(plan, q0) >= begin + kBlock; q0 -= kBlock) {
        // A state of sinks only is empty.
        if (TileBegin(plan, q0) <= plan.S) continue;
        // What comes after is no longer in L2 if the sequence is long.
        Prefetch(a.phi_k + begin * plan.Fout, feature_block);
        if (want.phi_k) Prefetch(a.dphi_k + begin * plan.Fout, feature_block);
        UpdateReverse(plan, q0, a);
      }
      if (begin > 0) {
        const KeyRun next = plan.Keys(begin - kBlock, begin);
        PrefetchRows(next.k, next.k_stride, kBlock, plan.D);
        PrefetchRows(next.v, next.v_stride, kBlock, plan.D);
      }
      if (q0 > 0) {
        Prefetch(a.phi_q + q0 * plan.Fout, feature_block);
        Prefetch(a.dy + q0 * plan.D, kBlock * plan.D);
      }
      if (!a.reverse.empty) AddReverse(plan, want, begin, end, a);
    }
    if (want.phi_k) FinishKeyBlock(plan, task, want, begin, a);
  }
}

// to [rows, D] = or += from [rows, D].
inline void PutRows(const float* from, int64_t rows, int64_t D, bool add,
                    int64_t stride, float* to) {
  for (int64_t r = 0; r < rows; ++r, from += D, to += stride) {
    for (int64_t d = 0; d < D; d += Vec::kLanes) {
      const int n = static_cast<int>(Least(Vec::kLanes, D - d));
      const Vec value = LoadN(from + d, n);
      StoreN(to + d, add ? LoadN(to + d, n) + value : value, n);
    }
  }
}

// The sums of a task start at zero ...
inline void StartSums(const HeadPlan& plan, const BackwardTask& task,
                      const Wanted& want, BackwardArena& a) {
  const int64_t D = plan.D, F = plan.F;
  if (task.dbias_q != nullptr) Fill(task.dbias_q, F);
  if (task.dbias_k != nullptr) Fill(task.dbias_k, F);
  if (task.dwindow_factor != nullptr) *task.dwindow_factor = 0;
  if (want.dk) Fill(a.dk, plan.end * D);
  if (want.dv) Fill(a.dv, plan.end * D);
  if (want.dweight_q) Fill(a.dweight_q_t, F * D);
  if (want.dweight_k) Fill(a.dweight_k_t, F * D);
  if (want.dq && want.phi_q) Transpose(D, F, plan.weight_q, F, a.weight_q_t, D);
  if (want.dk && want.phi_k) Transpose(D, F, plan.weight_k, F, a.weight_k_t, D);
}

// ... and go where the task wants them.
inline void PutSums(const HeadPlan& plan, const BackwardTask& task,
                    const Wanted& want, BackwardArena& a) {
  const int64_t D = plan.D, F = plan.F;
  if (want.dk) PutRows(a.dk, plan.end, D, task.add_kv, task.dk_row, task.dk);
  if (want.dv) PutRows(a.dv, plan.end, D, task.add_kv, task.dv_row, task.dv);
  const auto put_weight = [&](bool wanted, const float* from, float* to) {
    if (wanted) {
      Transpose(F, D, from, D, to, F);
    } else if (to != nullptr) {
      Fill(to, D * F);
    }
  };
  put_weight(want.dweight_q, a.dweight_q_t, task.dweight_q);
  put_weight(want.dweight_k, a.dweight_k_t, task.dweight_k);
}

inline void BackwardHead(const HybridAttentionArgs<float>& args,
                         const BackwardTask& task, void* memory) {
  const HeadPlan plan(args, task.sequence, task.head);
  BackwardArena a = AttentionBackwardArena(args, plan.end, memory);
  const Wanted want(plan, task);
  StartSums(plan, task, want, a);
  const int64_t ready = BackwardQueries(plan, task, want, a);
  BackwardKeys(plan, task, want, ready, a);
  PutSums(plan, task, want, a);
}

}  // namespace caracal::kernels::CARACAL_SIMD_NS

#endif  // CARACAL_KERNELS_HYBRID_ATTENTION_BACKWARD_HEAD_H_
