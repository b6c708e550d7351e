// What a softmax over rows of accumulators is made of, of which four
// neighbouring threads have one between them: exponentials of 2 and reductions.
// For .cu sources only.
#ifndef CARACAL_KERNELS_COMMON_CUDA_SOFTMAX_H_
#define CARACAL_KERNELS_COMMON_CUDA_SOFTMAX_H_

namespace caracal::kernels::cuda {

inline constexpr float kLog2e = 1.4426950408889634f;
inline constexpr float kLn2 = 0.6931471805599453f;

__device__ __forceinline__ float Exp2(float x) {
  float y;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}

__device__ __forceinline__ float QuadMax(float x) {
  x = fmaxf(x, __shfl_xor_sync(~0u, x, 1));
  return fmaxf(x, __shfl_xor_sync(~0u, x, 2));
}
__device__ __forceinline__ float QuadSum(float x) {
  x += __shfl_xor_sync(~0u, x, 1);
  return x + __shfl_xor_sync(~0u, x, 2);
}

}  // namespace caracal::kernels::cuda

#endif  // CARACAL_KERNELS_COMMON_CUDA_SOFTMAX_H_
