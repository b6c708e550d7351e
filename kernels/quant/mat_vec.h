// Products of an encoded matrix with a few vectors, decoding straight from
// its blocks: what a step of generation does, where reading the weights is
// the whole cost.
//     y[b, r] = beta y[b, r] + sum_k w[r, k] x[b, k]
// Weights are decoded exactly, activations stay fp32, sums are fp32. Scratch
// memory: none. Each y[b, r] is added up in one order that depends on the
// instruction set only, so threads, batch and sharding by rows change no bit.
#ifndef CARACAL_KERNELS_QUANT_MAT_VEC_H_
#define CARACAL_KERNELS_QUANT_MAT_VEC_H_

#include "kernels/common/context.h"
#include "kernels/common/tensor_view.h"
#include "kernels/quant/encoding.h"

namespace caracal::kernels {

// w [R, K], x [B, K] or [K], y [B, R] or [R]; fp32, rows of x and y of unit
// stride inside. beta = 0 does not read y. Any B works; beyond some 16 rows
// decoding the matrix once and calling a matrix product is faster.
void QuantMatVec(const Context& ctx, const EncodedView& w, ConstTensorView x,
                 TensorView y, float beta);

}  // namespace caracal::kernels

#endif  // CARACAL_KERNELS_QUANT_MAT_VEC_H_
