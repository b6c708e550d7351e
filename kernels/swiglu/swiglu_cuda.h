// SwiGLU on a CUDA device: the contract of swiglu.h on bf16 matrices in
// device memory, computed in fp32 and rounded once. They start at a multiple
// of 16 bytes; their row strides and F are multiples of 8 elements. No call
// waits for the device or allocates.
#ifndef CARACAL_KERNELS_SWIGLU_SWIGLU_CUDA_H_
#define CARACAL_KERNELS_SWIGLU_SWIGLU_CUDA_H_

#include "kernels/swiglu/swiglu.h"

namespace caracal::kernels {

void SwigluForwardCuda(const Context& ctx, ConstTensorView gate,
                       ConstTensorView up, TensorView out);

void SwigluBackwardCuda(const Context& ctx, ConstTensorView dout,
                        ConstTensorView gate, ConstTensorView up,
                        TensorView dgate, TensorView dup);

}  // namespace caracal::kernels

#endif  // CARACAL_KERNELS_SWIGLU_SWIGLU_CUDA_H_
