// SwiGLU of fp32 numbers in registers. Included only by .cu sources.
#ifndef CARACAL_KERNELS_SWIGLU_SWIGLU_CUDA_MATH_H_
#define CARACAL_KERNELS_SWIGLU_SWIGLU_CUDA_MATH_H_

namespace caracal::kernels::cuda {

__device__ __forceinline__ float Sigmoid(float x) {
  return __fdividef(1.0f, 1.0f + __expf(-x));
}

__device__ __forceinline__ float Swiglu(float gate, float up) {
  return gate * Sigmoid(gate) * up;
}

}  // namespace caracal::kernels::cuda

#endif  // CARACAL_KERNELS_SWIGLU_SWIGLU_CUDA_MATH_H_
