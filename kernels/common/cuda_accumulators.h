// A warpgroup's accumulators: whose row and column an element is, and their way
// to rows of a tensor. Included only by sources compiled for sm_90a.
#ifndef CARACAL_KERNELS_COMMON_CUDA_ACCUMULATORS_H_
#define CARACAL_KERNELS_COMMON_CUDA_ACCUMULATORS_H_

#include "kernels/common/cuda_head_rows.h"
#include "kernels/common/cuda_softmax.h"
#include "kernels/common/cuda_wgmma.h"

namespace caracal::kernels::cuda {

inline constexpr int kGroup = 128;  // threads of a warpgroup

// This thread's place in accumulators: rows kRow + {0, 8}, columns
// 8 b + column + {0, 1}.
__device__ __forceinline__ int ThreadRow() {
  return threadIdx.x % kGroup / 32 * 16 + threadIdx.x % 32 / 4;
}
__device__ __forceinline__ int ThreadColumn() { return threadIdx.x % 4 * 2; }

// Transposes words among the four threads of a row: afterwards thread q holds
// what threads 0..3 had in word q.
__device__ __forceinline__ void TransposeQuad(uint32_t (&w)[4]) {
  const bool odd = threadIdx.x & 1, upper = threadIdx.x & 2;
  uint32_t x = __shfl_xor_sync(~0u, upper ? w[0] : w[2], 2);
  uint32_t y = __shfl_xor_sync(~0u, upper ? w[1] : w[3], 2);
  w[0] = upper ? x : w[0];
  w[1] = upper ? y : w[1];
  w[2] = upper ? w[2] : x;
  w[3] = upper ? w[3] : y;
  x = __shfl_xor_sync(~0u, odd ? w[0] : w[1], 1);
  y = __shfl_xor_sync(~0u, odd ? w[2] : w[3], 1);
  w[0] = odd ? x : w[0];
  w[1] = odd ? w[1] : x;
  w[2] = odd ? y : w[2];
  w[3] = odd ? w[3] : y;
}

// Words of a row's four threads to its columns from `first` on, as 16 bytes a
// thread.
__device__ __forceinline__ void StoreQuad(const HeadRows<bf16>& out,
                                          int64_t row, bool inside, int head,
                                          int D, int first, uint32_t (&w)[4]) {
  TransposeQuad(w);
  const int column = first + 8 * (threadIdx.x % 4);
  if (inside && column < D) {
    *reinterpret_cast<uint4*>(At(out, row, head) + column) =
        make_uint4(w[0], w[1], w[2], w[3]);
  }
}

// Accumulators' rows 8 r + ..., columns [first, first + 4 n) (n / 8 multiples
// of 32), to global rows.
template <int n>
__device__ __forceinline__ void StoreRows(const HeadRows<bf16>& out,
                                          int64_t row, int count, int head,
                                          int D, int first,
                                          const float (&x)[n]) {
#pragma unroll
  for (int r = 0; r < 2; ++r) {
    const int at = ThreadRow() + 8 * r;
#pragma unroll
    for (int b = 0; b < n / 4; b += 4) {
      uint32_t w[4];
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        w[i] = PackBf16(x[4 * (b + i) + 2 * r], x[4 * (b + i) + 2 * r + 1]);
      }
      StoreQuad(out, row + at, at < count, head, D, first + 8 * b, w);
    }
  }
}
// The same of accumulators that are rounded already, two columns a word.
template <int n>
__device__ __forceinline__ void StoreWords(const HeadRows<bf16>& out,
                                           int64_t row, int count, int head,
                                           int D, int first,
                                           const uint32_t (&x)[n]) {
#pragma unroll
  for (int r = 0; r < 2; ++r) {
    const int at = ThreadRow() + 8 * r;
#pragma unroll
    for (int b = 0; b < n / 2; b += 4) {
      uint32_t w[4];
#pragma unroll
      for (int i = 0; i < 4; ++i) w[i] = x[2 * (b + i) + r];
      StoreQuad(out, row + at, at < count, head, D, first + 8 * b, w);
    }
  }
}

}  // namespace caracal::kernels::cuda

#endif  // CARACAL_KERNELS_COMMON_CUDA_ACCUMULATORS_H_
