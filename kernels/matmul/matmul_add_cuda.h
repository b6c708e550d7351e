// A product added to a residual stream in one pass on a Hopper device:
//     y = add + x W^T
// Summed in fp32, C = add among the terms, and rounded to bf16 once; with it
// what an RMSNorm of y needs (norm_between.h).
//
//   x      [rows, K]
//   weight [N, K]
//   add, y [rows, N]   y may be add
//
// All bf16 in device memory, starts and row strides multiples of 16 bytes.
// No call waits for the device or allocates. Same inputs, same bits.
#ifndef CARACAL_KERNELS_MATMUL_MATMUL_ADD_CUDA_H_
#define CARACAL_KERNELS_MATMUL_MATMUL_ADD_CUDA_H_

#include "kernels/common/context.h"
#include "kernels/common/tensor_view.h"
#include "kernels/matmul/norm_between.h"

namespace caracal::kernels {

// Whether the current device can.
bool MatMulAddCudaSupported();
// Whether it can, and tiles of 128 rows and 256 columns suit the shape: with
// few cuBLASLt, which has other tiles and cuts long sums up, is faster.
bool MatMulAddCudaSuits(int64_t rows, int64_t N);

inline constexpr size_t kMatMulAddCudaWorkspaceBytes = 16;

// `workspace` may be used by one call at a time (on one stream).
void MatMulAddCuda(const Context& ctx, ConstTensorView x,
                   ConstTensorView weight, ConstTensorView add, TensorView y,
                   const NormOutput& norm, Workspace workspace);

}  // namespace caracal::kernels

#endif  // CARACAL_KERNELS_MATMUL_MATMUL_ADD_CUDA_H_
