// The backward of one (sequence, head), tile by tile from the saved log-sum-
// exp. Included only by causal attention's SIMD sources.
#ifndef CARACAL_KERNELS_CAUSAL_ATTENTION_BACKWARD_PASS_H_
#define CARACAL_KERNELS_CAUSAL_ATTENTION_BACKWARD_PASS_H_

#include <cstdint>

#include "kernels/causal_attention/causal_tile.h"

namespace caracal::kernels::CARACAL_SIMD_NS {

struct CausalBackwardArena {
  CausalBackwardArena(int64_t D, int64_t longest, void* memory)
      : arena(memory) {
    qt = arena.Floats(D * kQueries);
    dyt = arena.Floats(D * kQueries);
    p = arena.Floats(kKeys * kQueries);
    ds = arena.Floats(kKeys * kQueries);
    lse = arena.Floats(kQueries);
    delta = arena.Floats(kQueries);
    dk = arena.Floats(longest * D);
    dv = arena.Floats(longest * D);
  }
  Arena arena;
  float* qt;     // [D, kQueries]
  float* dyt;    // [D, kQueries]
  float* p;      // [kKeys, kQueries]
  float* ds;     // [kKeys, kQueries]
  float* lse;    // [kQueries]
  float* delta;  // [kQueries] dy . y
  float* dk;     // [longest, D]
  float* dv;     // [longest, D]
};

// p = exp(s - lse) and ds = p (dp - delta) / sqrt(D), invisible ones 0.
inline void SoftmaxBackward(const CausalTile& t, Vec scale,
                            CausalBackwardArena& a) {
  for (int l = 0; l < t.lanes; l += Vec::kLanes) {
    const Vec lse = Load(a.lse + l), delta = Load(a.delta + l);
    for (int r = 0; r < t.keys; ++r) {
      const int64_t at = r * kQueries + l;
      Vec p = Exp(Load(a.p + at) * scale - lse);
      Vec dp = Load(a.ds + at) - delta;
      if (t.FirstLane(r) > l) {
        const Mask visible = VisibleLanes(t, r, l);
        p = SelectOrZero(visible, p);
        dp = SelectOrZero(visible, dp);
      }
      Store(a.p + at, p);
      Store(a.ds + at, p * dp * scale);
    }
  }
}

inline void CausalBackwardBlock(const CausalAttentionArgs<float>& args,
                                const CausalHead& head,
                                const CausalAttentionBackwardTask<float>& task,
                                int64_t query, CausalBackwardArena& a) {
  const int64_t D = head.D;
  const int count = static_cast<int>(Least(kQueries, head.queries - query));
  const int64_t row = head.first_row + query;
  const float* const q = head.q + query * head.q_row;
  const float* const dy = task.dy.at(row, task.head);
  float* const dq = task.dq.at(row, task.head);
  LoadColumns(q, head.q_row, count, D, a.qt);
  LoadColumns(dy, task.dy.row, count, D, a.dyt);
  for (int i = 0; i < kQueries; ++i) {
    const bool real = i < count;
    a.lse[i] = real ? task.lse[task.head * args.rows + row + i] : 0.0f;
    a.delta[i] = 0;
    if (!real) continue;
    DotRows(1, D, dy + i * task.dy.row, task.y.at(row + i, task.head), 0,
            a.delta + i);
    for (int64_t d = 0; d < D; ++d) dq[i * task.dq.row + d] = 0;
  }
  const int64_t end = query + count;
  for (int64_t key = 0; key < end; key += kKeys) {
    const CausalTile t(head, query, count, key,
                       static_cast<int>(Least(kKeys, end - key)));
    const float* const k = head.k + key * head.k_row;
    const float* const v = head.v + key * head.v_row;
    TileProduct(t, D, k, head.k_row, a.qt, a.p);
    TileProduct(t, D, v, head.v_row, a.dyt, a.ds);
    SoftmaxBackward(t, Set(head.scale), a);
    AddToKeys(t, D, a.p, dy, task.dy.row, a.dv + key * D);
    AddToKeys(t, D, a.ds, q, head.q_row, a.dk + key * D);
    AddToQueries(t, D, a.ds, k, head.k_row, dq, task.dq.row);
  }
}

// to [rows, D] = or += from [rows, D].
inline void PutKeyRows(const float* from, int64_t rows, int64_t D, bool add,
                       int64_t stride, float* to) {
  for (int64_t r = 0; r < rows; ++r, from += D, to += stride) {
    for (int64_t d = 0; d < D; d += Vec::kLanes) {
      const int n = static_cast<int>(Least(Vec::kLanes, D - d));
      const Vec value = LoadN(from + d, n);
      StoreN(to + d, add ? LoadN(to + d, n) + value : value, n);
    }
  }
}

inline void CausalBackwardHead(const CausalAttentionArgs<float>& args,
                               const CausalAttentionBackwardTask<float>& task,
                               void* memory) {
  const CausalHead head(args, task.sequence, task.head);
  CausalBackwardArena a(head.D, head.queries, memory);
  for (int64_t i = 0; i < head.queries * head.D; ++i) a.dk[i] = a.dv[i] = 0;
  for (int64_t query = 0; query < head.queries; query += kQueries) {
    CausalBackwardBlock(args, head, task, query, a);
  }
  PutKeyRows(a.dk, head.queries, head.D, task.add_kv, task.dk_row, task.dk);
  PutKeyRows(a.dv, head.queries, head.D, task.add_kv, task.dv_row, task.dv);
}

}  // namespace caracal::kernels::CARACAL_SIMD_NS

#endif  // CARACAL_KERNELS_CAUSAL_ATTENTION_BACKWARD_PASS_H_
