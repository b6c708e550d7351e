// Products of a weight matrix with few vectors on a CUDA device, for decoding
// one or a few sequences: what they cost is reading the weights, and what is
// small beside that is done in the same pass.
//     y [rows, N] = x [rows, K] weight^T [N, K]
// x, weight, add, y are bf16 matrices (y fp32 where that is said) with adjacent
// columns, sums fp32, rounded once; starts and row strides are multiples of 16
// bytes, K is a multiple of 8 and rows at most kMatVecMostRows. Device memory
// throughout; no call waits for the device or allocates. Same inputs, same
// bits.
//
// On Hopper a call may begin to read its weights (and nothing else) while the
// kernel before it on the stream still runs.
#ifndef CARACAL_KERNELS_MATMUL_MAT_VEC_CUDA_H_
#define CARACAL_KERNELS_MATMUL_MAT_VEC_CUDA_H_

#include <cstdint>

#include "kernels/common/context.h"
#include "kernels/common/tensor_view.h"

namespace caracal::kernels {

inline constexpr int64_t kMatVecMostRows = 4;

// Whether the current device runs products of so many rows of K: they lie in a
// multiprocessor's shared memory.
bool MatVecCudaSupports(int64_t rows, int64_t columns);

// What x goes through first: RMSNorm (rms_norm.h), rounded to bf16. An
// undefined weight (fp32 [K]): nothing.
struct MatVecNorm {
  ConstTensorView weight;
  float eps = 0;
};

// add [rows, N], where defined, is added to the sums; it may be y. y is bf16,
// or fp32 with nothing added.
void MatVecCuda(const Context& ctx, ConstTensorView x, const MatVecNorm& norm,
                ConstTensorView weight, ConstTensorView add, TensorView y);

// SwiGLU of two products: weight [2 F, K], the gate's rows first; y [rows, F] =
// silu(gate) * up.
void MatVecSwigluCuda(const Context& ctx, ConstTensorView x,
                      const MatVecNorm& norm, ConstTensorView weight,
                      TensorView y);

}  // namespace caracal::kernels

#endif  // CARACAL_KERNELS_MATMUL_MAT_VEC_CUDA_H_
