// LoRA on a CUDA device, composed of cuBLASLt's products: the contract of
// lora.h, with these differences.
//  - x, y, dy, dx, xa, dxa are bf16, and so are a and b: the optimizer's
//  rounded
//    copies. da and db are fp32. xa and dxa are rounded to bf16 between the two
//    products.
//  - All views are device memory; starts and row strides that are multiples of
//    16 bytes are fastest, and so are ranks that are multiples of 8.
//  - No call waits for the device or allocates. Same inputs, same bits.
// `plans` and `workspace` are those of matmul_cuda.h.
#ifndef CARACAL_KERNELS_LORA_LORA_CUDA_H_
#define CARACAL_KERNELS_LORA_LORA_CUDA_H_

#include "kernels/lora/lora.h"
#include "kernels/matmul/matmul_cuda.h"

namespace caracal::kernels {

// Without `accumulate` y is overwritten: the frozen projection's product then
// adds to it, which costs no pass over y of its own.
void LoraForwardCuda(const Context& ctx, MatMulCudaPlans& plans,
                     ConstTensorView x, ConstTensorView a, ConstTensorView b,
                     float scale, bool accumulate, TensorView xa, TensorView y,
                     Workspace workspace);

// Likewise for dx.
void LoraBackwardCuda(const Context& ctx, MatMulCudaPlans& plans,
                      ConstTensorView dy, ConstTensorView x, ConstTensorView xa,
                      ConstTensorView a, ConstTensorView b, float scale,
                      bool accumulate_dx, TensorView dxa, TensorView da,
                      TensorView db, TensorView dx, Workspace workspace);

// The last part of the backward: db += scale dy^T xa; da += dxa^T x, where
// dxa = scale dy B.
void LoraGradientsCuda(const Context& ctx, MatMulCudaPlans& plans,
                       ConstTensorView dy, ConstTensorView x,
                       ConstTensorView xa, ConstTensorView dxa, float scale,
                       TensorView da, TensorView db, Workspace workspace);

// Adapters folded into their projection, R ranks in all: they become further
// columns and rows of its weight, and xa and dxa further columns of x and dy,
// so that one product computes the projection with its adapters.
//     weight [out + R, in + R]   W [out, in]   scale B [out, R]
//                                A [R, in]     unused
//     x [rows, in + R]           x             xa
//     dy [rows, out + R]         dy            dxa
// Several adapters on parts of one projection (q, k, v) take columns and rows
// side by side; B's other elements are zero.

// Writes an adapter's blocks: a_block [R, in] <- a, b_block [out, R] <- scale
// b. a, b fp32, the blocks bf16, all [rows, columns] with rows strided.
void LoraFoldCuda(const Context& ctx, ConstTensorView a, ConstTensorView b,
                  float scale, TensorView a_block, TensorView b_block);

// The blocks of all adapters of a model, in one launch.
struct LoraFoldBlock {
  const float* from = nullptr;  // [rows, columns]
  int64_t from_stride = 0;
  uint16_t* to = nullptr;  // bf16, likewise
  int64_t to_stride = 0;
  int64_t rows = 0, columns = 0;
  float scale = 1;
  bool operator==(const LoraFoldBlock&) const = default;
};
LoraFoldBlock LoraFoldBlockOf(ConstTensorView from, float scale, TensorView to);
// A list of blocks in device memory. Owns nothing; cheap to copy.
struct LoraFoldTable {
  const void* data = nullptr;
  int64_t blocks = 0;
  int64_t pieces = 0;
};
size_t LoraFoldTableBytes(int64_t blocks);
// Writes the list to `memory` (device, LoraFoldTableBytes, 16-byte aligned).
LoraFoldTable MakeLoraFoldTable(const Context& ctx, const LoraFoldBlock* blocks,
                                int64_t count, void* memory);
void LoraFoldCuda(const Context& ctx, const LoraFoldTable& table);

// LoraGradientsCuda of adapters side by side on one projection: x and dy are
// read once for all of them.
//   dy [rows, out], x [rows, in], xa and dxa [rows, n r]; adapter i is on the
//   columns [out_begin, ...) of dy and has the i-th r columns of xa and dxa.
struct LoraPart {
  int64_t out_begin = 0;
  TensorView da, db;  // [r, in], [its out, r], contiguous
};
inline constexpr int kLoraMostParts = 3;
size_t LoraGradientsCudaScratchBytes(int64_t in, int64_t out, int64_t ranks);
void LoraGradientsCuda(const Context& ctx, MatMulCudaPlans& plans,
                       ConstTensorView dy, ConstTensorView x,
                       ConstTensorView xa, ConstTensorView dxa, float scale,
                       const LoraPart* parts, int count, Workspace scratch,
                       Workspace workspace);

// Fills xa; y [rows, out] = x W^T + scale xa B^T.
void LoraFoldedForwardCuda(const Context& ctx, MatMulCudaPlans& plans,
                           TensorView x, ConstTensorView weight, int64_t rank,
                           TensorView y, Workspace workspace);

// Fills dxa; dx [rows, in] = dy W + dxa A, or += with accumulate_dx.
// LoraGradientsCuda does the rest.
void LoraFoldedBackwardCuda(const Context& ctx, MatMulCudaPlans& plans,
                            TensorView dy, ConstTensorView weight, int64_t rank,
                            bool accumulate_dx, TensorView dx,
                            Workspace workspace);

}  // namespace caracal::kernels

#endif  // CARACAL_KERNELS_LORA_LORA_CUDA_H_
