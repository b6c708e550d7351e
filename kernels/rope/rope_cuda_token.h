// Rotation of one head of one token, for kernels that do it on the way. For .cu
// sources only. D is a multiple of 8; heads start at multiples of 8 bytes, rows
// of cos and sin at multiples of 16.
#ifndef CARACAL_KERNELS_ROPE_ROPE_CUDA_TOKEN_H_
#define CARACAL_KERNELS_ROPE_ROPE_CUDA_TOKEN_H_

#include <cuda_bf16.h>

#include <cstdint>

namespace caracal::kernels::cuda {

// Four pairs of a head: elements i to i + 3 and those D / 2 further on. Load()
// only reads, so that several may be on their way together.
struct TokenPairs {
  uint2 low, high;  // bf16
  float4 cos, sin;

  // cos, sin [positions, D / 2]; null: the pairs stay as they are.
  __device__ __forceinline__ void Load(const __nv_bfloat16* from, int D,
                                       const float* all_cos,
                                       const float* all_sin, int64_t position,
                                       int i) {
    low = *reinterpret_cast<const uint2*>(from + i);
    high = *reinterpret_cast<const uint2*>(from + D / 2 + i);
    cos = {1, 1, 1, 1}, sin = {};
    if (all_cos == nullptr) return;
    const int64_t at = position * (D / 2) + i;
    cos = *reinterpret_cast<const float4*>(all_cos + at);
    sin = *reinterpret_cast<const float4*>(all_sin + at);
  }

  // Rotated as rope_cuda.h does it, rounded to bf16; To is that or float.
  template <typename To>
  __device__ __forceinline__ void Store(int D, int i, To* to) const {
    const float c[4] = {cos.x, cos.y, cos.z, cos.w};
    const float s[4] = {sin.x, sin.y, sin.z, sin.w};
    const uint32_t words[2][2] = {{low.x, low.y}, {high.x, high.y}};
#pragma unroll
    for (int j = 0; j < 4; ++j) {
      const float x = Element(words[0], j), y = Element(words[1], j);
      to[i + j] = To(__float2bfloat16_rn(x * c[j] - y * s[j]));
      to[D / 2 + i + j] = To(__float2bfloat16_rn(y * c[j] + x * s[j]));
    }
  }

 private:
  static __device__ __forceinline__ float Element(const uint32_t (&words)[2],
                                                  int j) {
    const uint32_t word = words[j / 2];
    return __uint_as_float(j % 2 == 0 ? word << 16 : word & 0xffff0000u);
  }
};

// to [D] = from [D] rotated, by `threads` threads, this being number `thread`
// of them.
__device__ __forceinline__ void RotateToken(const __nv_bfloat16* from, int D,
                                            const float* cos, const float* sin,
                                            int64_t position, int thread,
                                            int threads, float* to) {
  for (int i = 4 * thread; i < D / 2; i += 4 * threads) {
    TokenPairs pairs;
    pairs.Load(from, D, cos, sin, position, i);
    pairs.Store(D, i, to);
  }
}

}  // namespace caracal::kernels::cuda

#endif  // CARACAL_KERNELS_ROPE_ROPE_CUDA_TOKEN_H_
