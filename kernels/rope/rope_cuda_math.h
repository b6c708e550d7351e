// A pair's rotation in registers. Included only by .cu sources.
#ifndef CARACAL_KERNELS_ROPE_ROPE_CUDA_MATH_H_
#define CARACAL_KERNELS_ROPE_ROPE_CUDA_MATH_H_

namespace caracal::kernels::cuda {

__device__ __forceinline__ void RotatePair(float cos, float sin, float& low,
                                           float& high) {
  const float rotated = low * cos - high * sin;
  high = high * cos + low * sin;
  low = rotated;
}

}  // namespace caracal::kernels::cuda

#endif  // CARACAL_KERNELS_ROPE_ROPE_CUDA_MATH_H_
