// A gated MLP's two halves joined to the SwiGLU between them, on a Hopper
// device. All bf16 in device memory, starts and row strides multiples of 16
// bytes. No call waits for the device or allocates. Same inputs, same bits.
// `tiles`: as matmul_tiles.h has it.
#ifndef CARACAL_KERNELS_MATMUL_MATMUL_SWIGLU_CUDA_H_
#define CARACAL_KERNELS_MATMUL_MATMUL_SWIGLU_CUDA_H_

#include "kernels/common/context.h"
#include "kernels/common/tensor_view.h"
#include "kernels/matmul/matmul_tiles.h"

namespace caracal::kernels {

// Whether the current device can.
bool MatMulSwigluCudaSupported();

// out = silu(x Wg^T) (x Wu^T). Both products are summed in fp32 and rounded to
// bf16, out once more: what MatMulCuda() and SwigluForwardCuda() make of them,
// but for the order of the sums.
//
//   x       [rows, K]
//   weight  [2 F, K]    Wg's rows, then Wu's
//   slopes  [rows, 2 F] out's derivatives (swiglu_cuda.h), or undefined: not
//                       stored
//   out     [rows, F]
void MatMulSwigluCuda(const Context& ctx, ConstTensorView x,
                      ConstTensorView weight, TensorView slopes, TensorView out,
                      Workspace tiles);
// Whether the current device can, and tiles of 128 rows and 256 columns suit
// the shape: with few cuBLASLt, which has other tiles and cuts long sums up, is
// faster.
bool MatMulSwigluCudaSuits(int64_t rows, int64_t F);

// The gradients of gate and up from that of what the down projection makes of
// out: dy W, summed in fp32 and not rounded, times the slopes, which they take
// the place of.
//
//   dy      [rows, K]
//   weight  [K, F]      W, the down projection's
//   slopes  [rows, 2 F]
void MatMulSwigluBackwardCuda(const Context& ctx, ConstTensorView dy,
                              ConstTensorView weight, TensorView slopes,
                              Workspace tiles);
// The same for it.
bool MatMulSwigluBackwardCudaSuits(int64_t rows, int64_t F);

}  // namespace caracal::kernels

#endif  // CARACAL_KERNELS_MATMUL_MATMUL_SWIGLU_CUDA_H_
