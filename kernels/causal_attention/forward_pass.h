// The forward of one (sequence, head): online softmax over tiles of keys.
// Included only by causal attention's SIMD sources.
#ifndef CARACAL_KERNELS_CAUSAL_ATTENTION_FORWARD_PASS_H_
#define CARACAL_KERNELS_CAUSAL_ATTENTION_FORWARD_PASS_H_

#include <cstdint>

#include "kernels/causal_attention/causal_tile.h"

namespace caracal::kernels::CARACAL_SIMD_NS {

inline constexpr float kLowest = -3.402823466e38f;

struct CausalForwardArena {
  CausalForwardArena(int64_t D, void* memory) : arena(memory) {
    qt = arena.Floats(D * kQueries);
    tile = arena.Floats(kKeys * kQueries);
    y = arena.Floats(kQueries * D);
    top = arena.Floats(kQueries);
    sum = arena.Floats(kQueries);
    shrink = arena.Floats(kQueries);
  }
  Arena arena;
  float* qt;      // [D, kQueries]
  float* tile;    // [kKeys, kQueries]
  float* y;       // [kQueries, D]
  float* top;     // [kQueries] maximum of q.k so far, not yet scaled
  float* sum;     // [kQueries] sum of exp(s - top scaled) so far
  float* shrink;  // [kQueries] what the last tile multiplied sum and y by
};

// Scores become exp(s - max); invisible ones 0. Updates top, sum and shrink.
inline void OnlineSoftmax(const CausalTile& t, Vec scale,
                          CausalForwardArena& a) {
  for (int l = 0; l < t.lanes; l += Vec::kLanes) {
    const Vec before = Load(a.top + l);
    Vec top = before;
    for (int r = 0; r < t.keys; ++r) {
      const Vec s = Load(a.tile + r * kQueries + l);
      if (t.FirstLane(r) <= l) {
        top = Max(s, top);
      } else {
        top = Select(And(VisibleLanes(t, r, l), Greater(s, top)), s, top);
      }
    }
    const Vec shrink = Exp((before - top) * scale);
    Vec sum = Load(a.sum + l) * shrink;
    for (int r = 0; r < t.keys; ++r) {
      float* at = a.tile + r * kQueries + l;
      Vec p = Exp((Load(at) - top) * scale);
      if (t.FirstLane(r) > l) p = SelectOrZero(VisibleLanes(t, r, l), p);
      Store(at, p);
      sum = sum + p;
    }
    Store(a.top + l, top);
    Store(a.sum + l, sum);
    Store(a.shrink + l, shrink);
  }
}

// row [D] = factor * from [D].
inline void ScaleRow(int64_t D, float factor, const float* from, float* row) {
  const Vec f = Set(factor);
  int64_t d = 0;
  for (; d + Vec::kLanes <= D; d += Vec::kLanes) {
    Store(row + d, f * Load(from + d));
  }
  const int tail = static_cast<int>(D - d);
  if (tail > 0) StoreN(row + d, f * LoadN(from + d, tail), tail);
}

inline void CausalForwardBlock(const CausalAttentionArgs<float>& args,
                               const CausalHead& head, int64_t h, int64_t query,
                               CausalForwardArena& a) {
  const int64_t D = head.D;
  const int count = static_cast<int>(Least(kQueries, head.queries - query));
  const Vec scale = Set(head.scale);
  LoadColumns(head.q + query * head.q_row, head.q_row, count, D, a.qt);
  for (int64_t i = 0; i < count * D; ++i) a.y[i] = 0;
  for (int l = 0; l < kQueries; ++l) {
    a.top[l] = kLowest;
    a.sum[l] = 0;
  }
  const int64_t end = head.keys - head.queries + query + count;
  for (int64_t key = 0; key < end; key += kKeys) {
    const CausalTile t(head, query, count, key,
                       static_cast<int>(Least(kKeys, end - key)));
    TileProduct(t, D, head.k + key * head.k_row, head.k_row, a.qt, a.tile);
    OnlineSoftmax(t, scale, a);
    for (int i = 0; key > 0 && i < count; ++i) {
      if (a.shrink[i] != 1.0f) {
        ScaleRow(D, a.shrink[i], a.y + i * D, a.y + i * D);
      }
    }
    AddToQueries(t, D, a.tile, head.v + key * head.v_row, head.v_row, a.y, D);
  }
  for (int i = 0; i < count; ++i) {
    const int64_t row = head.first_row + query + i;
    ScaleRow(D, 1.0f / a.sum[i], a.y + i * D, args.y.at(row, h));
    if (args.lse != nullptr) {
      args.lse[h * args.rows + row] =
          a.top[i] * head.scale + __builtin_logf(a.sum[i]);
    }
  }
}

// A single query, as decoding asks for: dot products with the keys as they
// lie, no lanes wasted.
inline void CausalForwardRow(const CausalAttentionArgs<float>& args,
                             const CausalHead& head, int64_t h, int64_t query,
                             CausalForwardArena& a) {
  const int64_t D = head.D, end = head.keys - head.queries + query + 1;
  const Vec scale = Set(head.scale);
  constexpr int64_t kChunk = kKeys * kQueries;
  float top = kLowest, sum = 0;
  for (int64_t d = 0; d < D; ++d) a.y[d] = 0;
  for (int64_t key = 0; key < end; key += kChunk) {
    const int64_t keys = Least(kChunk, end - key);
    DotRows(keys, D, head.q + query * head.q_row, head.k + key * head.k_row,
            head.k_row, a.tile);
    Vec most = Set(top);
    for (int64_t i = 0; i < keys; i += Vec::kLanes) {
      const int n = static_cast<int>(Least(Vec::kLanes, keys - i));
      most = Max(SelectFirst(n, LoadN(a.tile + i, n), most), most);
    }
    const float new_top = ReduceMax(most);
    const float shrink = ReduceMax(Exp(Set((top - new_top) * head.scale)));
    if (key > 0 && shrink != 1.0f) ScaleRow(D, shrink, a.y, a.y);
    Vec part = Zero();
    for (int64_t i = 0; i < keys; i += Vec::kLanes) {
      const int n = static_cast<int>(Least(Vec::kLanes, keys - i));
      const Vec p = SelectFirst(
          n, Exp((LoadN(a.tile + i, n) - Set(new_top)) * scale), Zero());
      StoreN(a.tile + i, p, n);
      part = part + p;
    }
    sum = sum * shrink + ReduceAdd(part);
    top = new_top;
    RowTimesMatrix<Update::kAdd>(D, keys, a.tile, head.v + key * head.v_row,
                                 head.v_row, a.y);
  }
  const int64_t row = head.first_row + query;
  ScaleRow(D, 1.0f / sum, a.y, args.y.at(row, h));
  if (args.lse != nullptr) {
    args.lse[h * args.rows + row] = top * head.scale + __builtin_logf(sum);
  }
}

}  // namespace caracal::kernels::CARACAL_SIMD_NS

#endif  // CARACAL_KERNELS_CAUSAL_ATTENTION_FORWARD_PASS_H_
