// A gated MLP's first half in one pass on a Hopper device:
//     out = silu(x Wg^T) (x Wu^T)
// Both products are summed in fp32 and rounded to bf16, out once more: what
// MatMulCuda() and SwigluForwardCuda() make of them, but for the order of the
// sums.
//
//   x       [rows, K]
//   weight  [2 F, K]    Wg's rows, then Wu's
//   gate_up [rows, 2 F] the products, or undefined: they are not stored
//   out     [rows, F]
//
// All bf16 in device memory, starts and row strides multiples of 16 bytes.
// No call waits for the device or allocates. Same inputs, same bits.
#ifndef CARACAL_KERNELS_MATMUL_MATMUL_SWIGLU_CUDA_H_
#define CARACAL_KERNELS_MATMUL_MATMUL_SWIGLU_CUDA_H_

#include "kernels/common/context.h"
#include "kernels/common/tensor_view.h"

namespace caracal::kernels {

// Whether the current device can.
bool MatMulSwigluCudaSupported();
// Whether it can, and tiles of 128 rows and 256 columns suit the shape: with
// few cuBLASLt, which has other tiles and cuts long sums up, is faster.
bool MatMulSwigluCudaSuits(int64_t rows, int64_t F);

inline constexpr size_t kMatMulSwigluCudaWorkspaceBytes = 16;

// `workspace` may be used by one call at a time (on one stream).
void MatMulSwigluCuda(const Context& ctx, ConstTensorView x,
                      ConstTensorView weight, TensorView gate_up,
                      TensorView out, Workspace workspace);

}  // namespace caracal::kernels

#endif  // CARACAL_KERNELS_MATMUL_MATMUL_SWIGLU_CUDA_H_
