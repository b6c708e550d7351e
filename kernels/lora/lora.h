// Low-rank adapter beside a frozen projection, y += scale B A x, and its
// gradients. Source: LoRA (arXiv 2106.09685); scale = alpha / rank.
#ifndef CARACAL_KERNELS_LORA_LORA_H_
#define CARACAL_KERNELS_LORA_LORA_H_

#include "kernels/common/context.h"
#include "kernels/common/tensor_view.h"

namespace caracal::kernels {

// xa = x A^T (kept for the backward); y += scale xa B^T.
// x [rows, in], a [R, in], b [out, R], xa [rows, R], y [rows, out]; fp32, rows
// may be strided (y may be a slice of columns). 1 <= R <= kLoraMaxRank.
void LoraForward(const Context& ctx, ConstTensorView x, ConstTensorView a,
                 ConstTensorView b, float scale, TensorView xa, TensorView y);

// dxa = scale dy B (scratch [rows, R]); db += scale dy^T xa; da += dxa^T x;
// dx += dxa A, unless dx is undefined. The sums over rows do not depend on the
// number of threads.
void LoraBackward(const Context& ctx, ConstTensorView dy, ConstTensorView x,
                  ConstTensorView xa, ConstTensorView a, ConstTensorView b,
                  float scale, TensorView dxa, TensorView da, TensorView db,
                  TensorView dx);

inline constexpr int kLoraMaxRank = 256;

}  // namespace caracal::kernels

#endif  // CARACAL_KERNELS_LORA_LORA_H_
