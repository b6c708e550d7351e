// What the passes of causal attention share: tiles [keys, kQueries] of scores,
// a key a row, a query a lane, of which only the part on and below the causal
// border is computed. Included only by causal attention's SIMD sources.
#ifndef CARACAL_KERNELS_CAUSAL_ATTENTION_CAUSAL_TILE_H_
#define CARACAL_KERNELS_CAUSAL_ATTENTION_CAUSAL_TILE_H_

#include <cstdint>

#include "kernels/causal_attention/causal_attention_args.h"
#include "kernels/common/arena.h"
#include "kernels/common/micro_gemm.h"
#include "kernels/common/simd.h"

namespace caracal::kernels::CARACAL_SIMD_NS {

using namespace ::caracal::CARACAL_SIMD_NS;  // NOLINT: Vec and products

inline constexpr int kQueries = 32;
inline constexpr int kKeys = 128;

inline int64_t Least(int64_t a, int64_t b) { return a < b ? a : b; }
inline int LanesFor(int64_t n) {
  return static_cast<int>((n + Vec::kLanes - 1) / Vec::kLanes * Vec::kLanes);
}

// One (sequence, head), resolved.
struct CausalHead {
  CausalHead(const CausalAttentionArgs<float>& args, int64_t sequence,
             int64_t head)
      : D(args.D),
        queries(args.queries(sequence)),
        keys(args.keys(sequence)),
        first_row(args.offsets[sequence]),
        scale(static_cast<float>(1.0 / __builtin_sqrt(args.D))),
        q(args.q.at(first_row, head)),
        k(args.k.at(args.key_offsets[sequence], args.kv_head(head))),
        v(args.v.at(args.key_offsets[sequence], args.kv_head(head))),
        q_row(args.q.row),
        k_row(args.k.row),
        v_row(args.v.row) {}
  int64_t D, queries, keys, first_row;
  float scale;  // 1 / sqrt(D)
  const float *q, *k, *v;
  int64_t q_row, k_row, v_row;
};

// Keys [key, key + keys) against queries [query, query + count) of the call;
// query i sees the tile's rows < visible(i).
struct CausalTile {
  CausalTile(const CausalHead& head, int64_t query, int count, int64_t key,
             int keys)
      : query(query),
        key(key),
        count(count),
        keys(keys),
        lanes(LanesFor(count)),
        border(static_cast<int>(
            Least(head.keys - head.queries + query + 1 - key, kKeys))) {}
  // First lane that sees row r.
  int FirstLane(int r) const { return r < border ? 0 : r + 1 - border; }
  // Rows that some of the lanes before `lane` see.
  int RowsBefore(int lane) const {
    return static_cast<int>(Least(keys, border + lane - 1));
  }

  int64_t query, key;
  int count, keys, lanes;
  int border;  // rows that query 0 sees, at most kKeys
};

// x^T [D, kQueries] of the tile's rows of x; lanes beyond them are 0.
inline void LoadColumns(const float* x, int64_t stride, int count, int64_t D,
                        float* xt) {
  const int lanes = LanesFor(count);
  for (int64_t d = 0; d < D && count < lanes; ++d) {
    for (int l = count; l < lanes; ++l) xt[d * kQueries + l] = 0;
  }
  Transpose(count, D, x, stride, xt, kQueries);
}

// out [keys, kQueries] = rows [keys, D] xt [D, kQueries] where it is visible.
inline void TileProduct(const CausalTile& t, int64_t D, const float* rows,
                        int64_t stride, const float* xt, float* out) {
  for (int r = 0; r < t.keys;) {
    const int lane = t.FirstLane(r) / Vec::kLanes * Vec::kLanes;
    int n = kTileRows;
    while (r + n < t.keys &&
           t.FirstLane(r + n) / Vec::kLanes * Vec::kLanes == lane) {
      n += kTileRows;
    }
    n = Least(n, t.keys - r);
    if (lane < t.lanes) {
      Gemm<Layout::kRows, Update::kAssign>(
          n, t.lanes - lane, D, rows + r * stride, stride, xt + lane, kQueries,
          out + r * kQueries + lane, kQueries);
    }
    r += n;
  }
}

// out [count, D] += tile^T [count, keys] rows [keys, D].
inline void AddToQueries(const CausalTile& t, int64_t D, const float* tile,
                         const float* rows, int64_t stride, float* out,
                         int64_t out_stride) {
  for (int m = 0; m < t.count;) {
    int n = kTileRows;
    const int keys = t.RowsBefore(Least(m + n, t.count));
    while (m + n < t.count &&
           t.RowsBefore(Least(m + n + kTileRows, t.count)) == keys) {
      n += kTileRows;
    }
    n = Least(n, t.count - m);
    if (keys > 0) {
      Gemm<Layout::kColumns, Update::kAdd>(n, D, keys, tile + m, kQueries, rows,
                                           stride, out + m * out_stride,
                                           out_stride);
    }
    m += n;
  }
}

// out [keys, D] += tile [keys, count] rows [count, D].
inline void AddToKeys(const CausalTile& t, int64_t D, const float* tile,
                      const float* rows, int64_t stride, float* out) {
  for (int r = 0; r < t.keys;) {
    const int lane = t.FirstLane(r);
    int n = kTileRows;
    while (r + n < t.keys && t.FirstLane(r + n) == lane) n += kTileRows;
    n = Least(n, t.keys - r);
    if (lane < t.count) {
      Gemm<Layout::kRows, Update::kAdd>(
          n, D, t.count - lane, tile + r * kQueries + lane, kQueries,
          rows + lane * stride, stride, out + r * D, D);
    }
    r += n;
  }
}

// Of the lanes from l on, those that see row r.
inline Mask VisibleLanes(const CausalTile& t, int r, int l) {
  return LaneRange(t.FirstLane(r) - l, Vec::kLanes);
}

}  // namespace caracal::kernels::CARACAL_SIMD_NS

#endif  // CARACAL_KERNELS_CAUSAL_ATTENTION_CAUSAL_TILE_H_
