// Rotation of one head of one token, for kernels that do it on the way. For .cu
// sources only.
#ifndef CARACAL_KERNELS_ROPE_ROPE_CUDA_TOKEN_H_
#define CARACAL_KERNELS_ROPE_ROPE_CUDA_TOKEN_H_

#include <cuda_bf16.h>

#include <cstdint>

namespace caracal::kernels::cuda {

// to [D] = from [D] rotated to `position` as rope_cuda.h does it, rounded to
// bf16. cos, sin [positions, D / 2]; null: from as it is. By `threads` threads,
// this being number `thread` of them.
__device__ __forceinline__ void RotateToken(const __nv_bfloat16* from, int D,
                                            const float* cos, const float* sin,
                                            int64_t position, int thread,
                                            int threads, float* to) {
  if (cos == nullptr) {
    for (int i = thread; i < D; i += threads) to[i] = __bfloat162float(from[i]);
    return;
  }
  const int half = D / 2;
  for (int i = thread; i < half; i += threads) {
    const float c = cos[position * half + i], s = sin[position * half + i];
    const float x = __bfloat162float(from[i]);
    const float y = __bfloat162float(from[i + half]);
    to[i] = __bfloat162float(__float2bfloat16_rn(x * c - y * s));
    to[i + half] = __bfloat162float(__float2bfloat16_rn(y * c + x * s));
  }
}

}  // namespace caracal::kernels::cuda

#endif  // CARACAL_KERNELS_ROPE_ROPE_CUDA_TOKEN_H_
