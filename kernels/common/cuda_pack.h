// Sixteen bytes of a row at a time, and sums over warps and blocks: what
// bandwidth-bound kernels are made of. Included only by .cu sources.
#ifndef CARACAL_KERNELS_COMMON_CUDA_PACK_H_
#define CARACAL_KERNELS_COMMON_CUDA_PACK_H_

#include <cuda_bf16.h>

#include <cstdint>

namespace caracal::kernels::cuda {

using bf16 = __nv_bfloat16;

// Elements of type T in a pack.
template <typename T>
inline constexpr int kLanes = 16 / sizeof(T);

// Pack i of what starts at `data`. Not through the read-only path: a kernel
// may write where it has read.
template <typename T>
__device__ __forceinline__ uint4 LoadPack(const T* data, int64_t i) {
  return __ldcg(reinterpret_cast<const uint4*>(data) + i);
}

template <typename T>
__device__ __forceinline__ void StorePack(T* data, int64_t i,
                                          const uint4& pack) {
  reinterpret_cast<uint4*>(data)[i] = pack;
}

template <typename T>
__device__ __forceinline__ void Unpack(const uint4& pack,
                                       float (&x)[kLanes<T>]) {
  const uint32_t words[4] = {pack.x, pack.y, pack.z, pack.w};
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    if constexpr (sizeof(T) == 4) {
      x[i] = __uint_as_float(words[i]);
    } else {
      x[2 * i] = __uint_as_float(words[i] << 16);
      x[2 * i + 1] = __uint_as_float(words[i] & 0xffff0000u);
    }
  }
}

// Rounds to nearest even.
template <typename T>
__device__ __forceinline__ uint4 Pack(const float (&x)[kLanes<T>]) {
  uint32_t words[4];
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    if constexpr (sizeof(T) == 4) {
      words[i] = __float_as_uint(x[i]);
    } else {
      const __nv_bfloat162 two = __floats2bfloat162_rn(x[2 * i], x[2 * i + 1]);
      words[i] = *reinterpret_cast<const uint32_t*>(&two);
    }
  }
  return {words[0], words[1], words[2], words[3]};
}

// Single elements.
__device__ __forceinline__ float ToFloat(float x) { return x; }
__device__ __forceinline__ float ToFloat(bf16 x) { return __bfloat162float(x); }
template <typename T>
__device__ __forceinline__ T FromFloat(float x) {
  if constexpr (sizeof(T) == 4) {
    return x;
  } else {
    return __float2bfloat16_rn(x);
  }
}

// Eight fp32 parameters that all blocks read.
__device__ __forceinline__ void LoadParameters(const float* data, int64_t i,
                                               float (&x)[8]) {
  const float4 low = __ldg(reinterpret_cast<const float4*>(data) + 2 * i);
  const float4 high = __ldg(reinterpret_cast<const float4*>(data) + 2 * i + 1);
  x[0] = low.x, x[1] = low.y, x[2] = low.z, x[3] = low.w;
  x[4] = high.x, x[5] = high.y, x[6] = high.z, x[7] = high.w;
}

// The same for all lanes, in an order that does not vary.
template <typename Sum>
__device__ __forceinline__ Sum WarpTotal(Sum x) {
  for (int m = 16; m > 0; m /= 2) x += __shfl_xor_sync(~0u, x, m);
  return x;
}

// Over a block of kThreads threads, the same for all. `shared` has an element
// a warp; no barrier is needed before its next use by this function.
template <int kThreads, typename Sum>
__device__ __forceinline__ Sum BlockTotal(Sum x, Sum* shared) {
  x = WarpTotal(x);
  if constexpr (kThreads > 32) {
    __syncthreads();
    if (threadIdx.x % 32 == 0) shared[threadIdx.x / 32] = x;
    __syncthreads();
    x = 0;
#pragma unroll
    for (int i = 0; i < kThreads / 32; ++i) x += shared[i];
  }
  return x;
}

}  // namespace caracal::kernels::cuda

#endif  // CARACAL_KERNELS_COMMON_CUDA_PACK_H_
