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

// Also its derivatives by the gate and by up.
__device__ __forceinline__ float SwigluAndSlopes(float gate, float up,
                                                 float& of_gate, float& of_up) {
  const float s = Sigmoid(gate), silu = gate * s;
  of_gate = up * (s + silu * (1.0f - s));
  of_up = silu;
  return silu * up;
}

}  // namespace caracal::kernels::cuda

#endif  // CARACAL_KERNELS_SWIGLU_SWIGLU_CUDA_MATH_H_
