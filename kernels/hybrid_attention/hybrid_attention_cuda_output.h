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

// Rows of bf16 in accumulators' places: rows 8 r + ..., columns [first, first +
// 2 n), two a word. Rows from `count` on are read as the last one.
template <int n>
__device__ __forceinline__ void LoadWords(const HeadRows<const bf16>& x,
                                          int64_t first_row, int count,
                                          int head, int D, int first,
                                          uint32_t (&words)[n / 2]) {
#pragma unroll
  for (int r = 0; r < 2; ++r) {
    const int at = min(ThreadRow() + 8 * r, count - 1);
    const bf16* from = At(x, first_row + at, head) + first + ThreadColumn();
#pragma unroll
    for (int b = 0; b < n / 4; ++b) {
      words[2 * b + r] = first + 8 * b < D
                             ? *reinterpret_cast<const uint32_t*>(from + 8 * b)
                             : 0;
    }
  }
}

// In a backward: adds dy . y of the rows to `dots`, of this thread's columns
// only; x, times 1 / den, is y.
template <int n>
__device__ __forceinline__ void AddDots(const uint32_t (&dy)[n / 2],
                                        const float (&inv)[2],
                                        const float (&x)[n], float (&dots)[2]) {
#pragma unroll
  for (int i = 0; i < n; i += 2) {
    const int r = i % 4 / 2;
    const float2 by = UnpackBf16(dy[i / 2]);
    dots[r] += by.x * (x[i] * inv[r]) + by.y * (x[i + 1] * inv[r]);
  }
}

// The same, of the dy that such a y makes of a target; x becomes this dy.
// Returns the squared error.
template <int n>
__device__ __forceinline__ float Regress(const Args& a,
                                         const uint32_t (&target)[n / 2],
                                         int count, const float (&inv)[2],
                                         float (&x)[n], float (&dots)[2]) {
  float errors[2] = {0, 0};
#pragma unroll
  for (int i = 0; i < n; i += 2) {
    const int r = i % 4 / 2;
    const float2 to = UnpackBf16(target[i / 2]);
    const float2 y = make_float2(x[i] * inv[r], x[i + 1] * inv[r]);
    const float2 off = make_float2(y.x - to.x, y.y - to.y);
    errors[r] += off.x * off.x + off.y * off.y;
    x[i] = a.scale * off.x;
    x[i + 1] = a.scale * off.y;
    dots[r] += x[i] * y.x + x[i + 1] * y.y;
  }
  return (ThreadRow() < count ? errors[0] : 0) +
         (ThreadRow() + 8 < count ? errors[1] : 0);
}

}  // namespace caracal::kernels::cuda

#endif  // CARACAL_KERNELS_HYBRID_ATTENTION_HYBRID_ATTENTION_CUDA_OUTPUT_H_
