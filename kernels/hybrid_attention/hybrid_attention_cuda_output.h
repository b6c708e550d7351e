// The last step of the Hopper forward kernels. Included only by their sources.
#ifndef CARACAL_KERNELS_HYBRID_ATTENTION_HYBRID_ATTENTION_CUDA_OUTPUT_H_
#define CARACAL_KERNELS_HYBRID_ATTENTION_HYBRID_ATTENTION_CUDA_OUTPUT_H_

#include "kernels/hybrid_attention/hybrid_attention_cuda_tiles.h"

namespace caracal::kernels::cuda {

// The call's statistics of this thread's rows, if asked for. `top`: row maxima
// times log2(e); rows from first_row on, `count` of them.
__device__ __forceinline__ void StoreStatistics(const Args& a,
                                                int64_t first_row, int count,
                                                int head, const float (&top)[2],
                                                const float (&softmax_den)[2],
                                                const float (&linear_den)[2]) {
  if (ThreadColumn() != 0) return;
#pragma unroll
  for (int r = 0; r < 2; ++r) {
    const int at = ThreadRow() + 8 * r;
    if (at >= count) continue;
    const int64_t to = head * a.rows + first_row + at;
    if (a.row_max != nullptr) a.row_max[to] = top[r] * kLn2;
    if (a.softmax_den != nullptr) a.softmax_den[to] = softmax_den[r];
    if (a.linear_den != nullptr) a.linear_den[to] = linear_den[r];
  }
}

__device__ __forceinline__ float2 LoadPair(const bf16* from) {
  return __bfloat1622float2(*reinterpret_cast<const __nv_bfloat162*>(from));
}

// Multiplies this thread's accumulators, columns [first, first + 2 n), by
// 1 / den and stores y.
template <int n>
__device__ __forceinline__ void StoreOutput(const Args& a, int64_t first_row,
                                            int count, int head, int first,
                                            const float (&inv)[2],
                                            float (&x)[n]) {
#pragma unroll
  for (int i = 0; i < n; ++i) x[i] *= inv[i % 4 / 2];
  StoreRows(a.y, first_row, count, head, a.D, first, x);
}

// In a backward: stores what such a y makes of the target, if there is one; or
// reads the dy given. Adds dy . y of the rows to `dots` and returns the squared
// error, both of this thread's columns only.
template <int n>
__device__ __forceinline__ float FinishRows(const Args& a,
                                            const HopperScratch& scratch,
                                            int64_t first_row, int count,
                                            int head, int first,
                                            const float (&inv)[2],
                                            float (&x)[n], float (&dots)[2]) {
  const int row = ThreadRow(), column = ThreadColumn();
#pragma unroll
  for (int i = 0; i < n; ++i) x[i] *= inv[i % 4 / 2];
  const bool regress = a.target.data != nullptr;
  const HeadRows<const bf16>& given = regress ? a.target : a.dy;
  float squared_error = 0;
#pragma unroll
  for (int i = 0; i < n; i += 2) {
    const int r = i % 4 / 2, at = row + r * 8, d = first + i / 4 * 8 + column;
    if (at >= count || d >= a.D) continue;
    float2 dy = LoadPair(At(given, first_row + at, head) + d);
    const float2 y = make_float2(x[i], x[i + 1]);
    if (regress) {
      dy = make_float2(y.x - dy.x, y.y - dy.y);
      squared_error += dy.x * dy.x + dy.y * dy.y;
      dy = make_float2(a.scale * dy.x, a.scale * dy.y);
      x[i] = dy.x;
      x[i + 1] = dy.y;
    }
    dots[r] += dy.x * y.x + dy.y * y.y;
  }
  if (regress) {
    StoreRows(scratch.dy, first_row, count, head, a.D, first, x);
  }
  return squared_error;
}

}  // namespace caracal::kernels::cuda

#endif  // CARACAL_KERNELS_HYBRID_ATTENTION_HYBRID_ATTENTION_CUDA_OUTPUT_H_
