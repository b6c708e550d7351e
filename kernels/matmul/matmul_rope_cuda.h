// Queries, keys and values in one pass on a Hopper device:
//     y = x W^T, the first heads of each row rotated
// The product is summed in fp32 and rounded to bf16, a rotated head once more:
// what MatMulCuda() and RopeCuda() make of it, but for the order of the sums.
//
//   x         [rows, K]
//   weight    [N, K]
//   positions int32 [rows], each within the tables
//   cos, sin  fp32 [P, D / 2] (rope.h), contiguous; D is 64 or 128
//   y         [rows, N], its first `heads` D columns rotated
//
// All in device memory, matrices bf16; starts and row strides are multiples of
// 16 bytes. No call waits for the device or allocates. Same inputs, same bits.
// `tiles`: as matmul_tiles.h has it.
#ifndef CARACAL_KERNELS_MATMUL_MATMUL_ROPE_CUDA_H_
#define CARACAL_KERNELS_MATMUL_MATMUL_ROPE_CUDA_H_

#include "kernels/common/context.h"
#include "kernels/common/tensor_view.h"
#include "kernels/matmul/matmul_tiles.h"

namespace caracal::kernels {

// Whether the current device can, and heads have a size that is there.
bool MatMulRopeCudaSupported(int64_t D);
// Whether it can, and tiles of 128 rows and 256 columns suit the shape: with
// few cuBLASLt, which has other tiles and cuts long sums up, is faster.
bool MatMulRopeCudaSuits(int64_t rows, int64_t N, int64_t D);

void MatMulRopeCuda(const Context& ctx, ConstTensorView x,
                    ConstTensorView weight, int64_t heads,
                    ConstTensorView positions, ConstTensorView cos,
                    ConstTensorView sin, TensorView y, Workspace tiles);

}  // namespace caracal::kernels

#endif  // CARACAL_KERNELS_MATMUL_MATMUL_ROPE_CUDA_H_
