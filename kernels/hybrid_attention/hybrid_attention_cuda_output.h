// The last step of the Hopper forward kernels. Included only by their sources.
#ifndef CARACAL_KERNELS_HYBRID_ATTENTION_HYBRID_ATTENTION_CUDA_OUTPUT_H_
#define CARACAL_KERNELS_HYBRID_ATTENTION_HYBRID_ATTENTION_CUDA_OUTPUT_H_

#include "kernels/hybrid_attention/hybrid_attention_cuda_tiles.h"

namespace caracal::kernels::cuda {

// Divides this warpgroup's half of the columns of num by den and stores them;
// or, with a target, what they make of dy. Warpgroup 0 stores the statistics.
// `top`: row maxima times log2(e); the den arrays [64] are in shared memory.
// Returns the thread's squared error.
template <int DP>
__device__ __forceinline__ float FinishRows(
    const Args& a, const HopperScratch& scratch, const Segment& segment, int n0,
    int head, int group, const float (&top)[2], const float* softmax_den0,
    const float* softmax_den1, const float* linear_dens,
    float (&half)[DP / 4]) {
  const int row = ThreadRow(), column = ThreadColumn();
  const int count = min(segment.length - n0, kTile);
  const int first = group * DP / 2;
#pragma unroll
  for (int r = 0; r < 2; ++r) {
    const int at = row + 8 * r;
    const float softmax_den = softmax_den0[at] + softmax_den1[at];
    const float linear_den = linear_dens[at];
    const float den = softmax_den + linear_den;
    const float inv = den > 0 ? 1.0f / den : 0.0f;
#pragma unroll
    for (int i = 0; i < DP / 8; ++i) half[i / 2 * 4 + 2 * r + i % 2] *= inv;
    if (group == 0 && column == 0 && at < count) {
      const int64_t to = head * a.rows + segment.begin + n0 + at;
      if (a.row_max != nullptr) a.row_max[to] = top[r] * kLn2;
      if (a.softmax_den != nullptr) a.softmax_den[to] = softmax_den;
      if (a.linear_den != nullptr) a.linear_den[to] = linear_den;
    }
  }
  const int64_t first_row = segment.begin + n0;
  if (a.target.data == nullptr) {
    StoreRows(a.y, first_row, count, head, a.D, first, half);
    return 0;
  }
  float squared_error = 0;
#pragma unroll
  for (int i = 0; i < DP / 4; i += 2) {
    const int at = row + i % 4 / 2 * 8, d = first + i / 4 * 8 + column;
    if (at >= count || d >= a.D) continue;
    const float2 target =
        __bfloat1622float2(*reinterpret_cast<const __nv_bfloat162*>(
            At(a.target, first_row + at, head) + d));
    const float x = half[i] - target.x, y = half[i + 1] - target.y;
    squared_error += x * x + y * y;
    half[i] = a.scale * x;
    half[i + 1] = a.scale * y;
  }
  StoreRows(scratch.dy, first_row, count, head, a.D, first, half);
  return squared_error;
}

}  // namespace caracal::kernels::cuda

#endif  // CARACAL_KERNELS_HYBRID_ATTENTION_HYBRID_ATTENTION_CUDA_OUTPUT_H_
