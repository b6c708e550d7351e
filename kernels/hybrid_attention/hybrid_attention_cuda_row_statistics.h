// What the general backward kernels know of rows: their softmax maxima and
// sums, as two warpgroups find them part by part, join them, and read them
// again. Included only by sources compiled for sm_90a.
#ifndef CARACAL_KERNELS_HYBRID_ATTENTION_HYBRID_ATTENTION_CUDA_ROW_STATISTICS_H_
#define CARACAL_KERNELS_HYBRID_ATTENTION_HYBRID_ATTENTION_CUDA_ROW_STATISTICS_H_

#include "kernels/hybrid_attention/hybrid_attention_cuda_tiles.h"

namespace caracal::kernels::cuda {

// No key: as a position, greater than all.
inline constexpr int kNone = 1 << 30;

// What a warpgroup knows of a row: relative to its own maximum `top`.
struct RowParts {
  float top[2][kTile];  // times log2(e)
  int argmax[2][kTile];
  float e[2][kTile], e_dp[2][kTile];  // sums of e and e dP
  float l[2][kTile], l_dp[2][kTile];
};

// Takes a tile's scores into the maxima of this thread's rows; tiles come
// newest first. The sums so far become relative to the new maxima, `shift` is
// what exponents of this tile are relative to.
__device__ __forceinline__ void RaiseMaxima(const float (&s)[32], int tile,
                                            float scale, float (&top)[2],
                                            int (&argmax)[2], float (&e_sum)[2],
                                            float (&e_dp_sum)[2],
                                            float (&shift)[2]) {
#pragma unroll
  for (int r = 0; r < 2; ++r) {
    float most = -INFINITY;
#pragma unroll
    for (int i = 0; i < 16; ++i) {
      most = fmaxf(most, s[i / 2 * 4 + 2 * r + i % 2]);
    }
    most = QuadMax(most);
    // The first key that attains the maximum of this tile.
    int at = kNone;
#pragma unroll
    for (int i = 15; i >= 0; --i) {
      at = s[i / 2 * 4 + 2 * r + i % 2] == most ? i / 2 * 8 + i % 2 : at;
    }
    at += tile * kTile + ThreadColumn();
    at = min(at, __shfl_xor_sync(~0u, at, 1));
    at = min(at, __shfl_xor_sync(~0u, at, 2));
    most *= scale;
    // A tie belongs to the later, older tile.
    if (most > -INFINITY && most >= top[r]) argmax[r] = at;
    most = fmaxf(most, top[r]);
    shift[r] = most == -INFINITY ? 0.0f : most;
    const float before = Exp2(top[r] - shift[r]);
    e_sum[r] *= before;
    e_dp_sum[r] *= before;
    top[r] = most;
  }
}

// This thread's rows to `parts`.
__device__ __forceinline__ void LeaveParts(
    RowParts& parts, int group, const float (&top)[2], const int (&argmax)[2],
    const float (&e_sum)[2], const float (&e_dp_sum)[2],
    const float (&l_sum)[2], const float (&l_dp_sum)[2]) {
#pragma unroll
  for (int r = 0; r < 2; ++r) {
    const float x0 = QuadSum(e_sum[r]), x1 = QuadSum(e_dp_sum[r]);
    const float x2 = QuadSum(l_sum[r]), x3 = QuadSum(l_dp_sum[r]);
    if (ThreadColumn() != 0) continue;
    const int at = ThreadRow() + 8 * r;
    parts.top[group][at] = top[r];
    parts.argmax[group][at] = argmax[r];
    parts.e[group][at] = x0;
    parts.e_dp[group][at] = x1;
    parts.l[group][at] = x2;
    parts.l_dp[group][at] = x3;
  }
}

// Both warpgroups' parts of a row; factors make theirs relative to `top`.
struct JoinedRow {
  float top, factor0, factor1, e, e_dp, l, l_dp;
  int argmax;

  __device__ __forceinline__ JoinedRow(const RowParts& parts, int at) {
    const float top0 = parts.top[0][at], top1 = parts.top[1][at];
    top = fmaxf(top0, top1);
    factor0 = top0 == -INFINITY ? 0.0f : Exp2(top0 - top);
    factor1 = top1 == -INFINITY ? 0.0f : Exp2(top1 - top);
    // Warpgroup 0's keys are the older ones.
    argmax = parts.argmax[top0 >= top1 ? 0 : 1][at];
    e = factor0 * parts.e[0][at] + factor1 * parts.e[1][at];
    e_dp = factor0 * parts.e_dp[0][at] + factor1 * parts.e_dp[1][at];
    l = parts.l[0][at] + parts.l[1][at];
    l_dp = parts.l_dp[0][at] + parts.l_dp[1][at];
  }
};

// Of the 64 rows in a stage; zeros beyond the sequence.
struct RowStatistics {
  float row_max[kTile], inv_den[kTile], delta[kTile], dmax[kTile];
  int argmax[kTile];
};

// `count` rows from element `first` of the scratch arrays on; by the block's
// first 64 threads.
__device__ __forceinline__ void LoadStatistics(const HopperScratch& scratch,
                                               int64_t first, int count,
                                               bool softmax,
                                               RowStatistics& rows) {
  const int i = threadIdx.x;
  if (i >= kTile) return;
  const bool valid = i < count;
  const int64_t from = first + i;
  rows.inv_den[i] = valid ? scratch.inv_den[from] : 0;
  rows.delta[i] = valid ? scratch.delta[from] : 0;
  if (softmax) {
    rows.row_max[i] = valid ? scratch.row_max[from] : 0;
    rows.dmax[i] = valid ? scratch.dmax[from] : 0;
    rows.argmax[i] = valid ? scratch.argmax[from] : -1;
  }
}

}  // namespace caracal::kernels::cuda

#endif  // CARACAL_KERNELS_HYBRID_ATTENTION_HYBRID_ATTENTION_CUDA_ROW_STATISTICS_H_
