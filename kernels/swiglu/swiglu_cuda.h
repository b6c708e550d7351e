// SwiGLU on a CUDA device: the contract of swiglu.h on bf16 matrices in
// device memory, computed in fp32 and rounded. A forward leaves derivatives to
// its backward instead of its operands: the exponential is taken once.
//
//   gate, up, out, dout [rows, F]
//   slopes              [rows, 2 F]  out's derivatives by gate, up silu'(gate),
//                                    then by up, silu(gate)
//
// Matrices start at a multiple of 16 bytes; their row strides and F are
// multiples of 8 elements. No call waits for the device or allocates.
#ifndef CARACAL_KERNELS_SWIGLU_SWIGLU_CUDA_H_
#define CARACAL_KERNELS_SWIGLU_SWIGLU_CUDA_H_

#include "kernels/swiglu/swiglu.h"

namespace caracal::kernels {

// `slopes`: undefined if no backward follows; gate and up may be its halves.
void SwigluForwardCuda(const Context& ctx, ConstTensorView gate,
                       ConstTensorView up, TensorView out,
                       TensorView slopes = {});

// The slopes become the gradients of gate and up.
void SwigluBackwardCuda(const Context& ctx, ConstTensorView dout,
                        TensorView slopes);

}  // namespace caracal::kernels

#endif  // CARACAL_KERNELS_SWIGLU_SWIGLU_CUDA_H_
