// Products of bf16 fragments that lie in a warp's registers (mma.sync), on
// tensor cores from compute capability 8.0 on. For .cu sources only.
//
// Lane l has column l / 4 of B [16, 8] in rows 2 (l % 4) + {0, 1} (the first
// word) and those 8 further down; of A [16, 16] the same columns of rows l / 4
// (words 0 and 2) and l / 4 + 8 (1 and 3); of the sums [16, 8], of those rows,
// columns 2 (l % 4) + {0, 1}. What the sum runs over may be numbered as is
// convenient, if A and B do it alike: where both have 16 bytes of a row in a
// lane, those are the first, second, third and fourth pair of two products.
// Format: PTX ISA 8.0, "mma.m16n8k16".
#ifndef CARACAL_KERNELS_COMMON_CUDA_MMA_H_
#define CARACAL_KERNELS_COMMON_CUDA_MMA_H_

#include <cuda_bf16.h>

#include <cstdint>

#include "kernels/common/cuda_shared.h"

namespace caracal::kernels::cuda {

// d [16, 8] += a [16, 16] b [16, 8], sums in fp32.
__device__ __forceinline__ void Mma(float (&d)[4], const uint32_t (&a)[4],
                                    uint32_t b0, uint32_t b1) {
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 "
      "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

// d [16, 8] and next [16, 8] += a [16, 16] times columns [0, 8) and [8, 16) of
// y [16, 16], whose rows lie in shared memory: lane l gives the address of row
// l % 16 from column l / 16 * 8 on.
__device__ __forceinline__ void MmaRows(float (&d)[4], float (&next)[4],
                                        const uint32_t (&a)[4], uint32_t y) {
  uint32_t w[4];
  LoadTransposed(y, w);
  Mma(d, a, w[0], w[1]);
  Mma(next, a, w[2], w[3]);
}

// fp32 has 24 significant bits, bf16 eight: three of these hold it exactly.
inline constexpr int kSplit = 3;

// The sum of the words' low halves is x, that of their high halves y.
__device__ __forceinline__ void SplitPair(float x, float y,
                                          uint32_t (&words)[kSplit]) {
#pragma unroll
  for (int i = 0; i < kSplit; ++i) {
    const __nv_bfloat162 two = __floats2bfloat162_rn(x, y);
    words[i] = *reinterpret_cast<const uint32_t*>(&two);
    x -= __uint_as_float(words[i] << 16);
    y -= __uint_as_float(words[i] & 0xffff0000u);
  }
}

// Of two words of pairs, a pair of both low or both high halves.
__device__ __forceinline__ uint32_t LowHalves(uint32_t x, uint32_t y) {
  return __byte_perm(x, y, 0x5410);
}
__device__ __forceinline__ uint32_t HighHalves(uint32_t x, uint32_t y) {
  return __byte_perm(x, y, 0x7632);
}

}  // namespace caracal::kernels::cuda

#endif  // CARACAL_KERNELS_COMMON_CUDA_MMA_H_
