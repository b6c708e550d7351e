// Softmax cross-entropy over a vocabulary, or a shard of it, for a chunk of
// rows: the caller combines the shards' statistics,
//     lse = log sum_shards sum_exp exp(row_max) ,  loss = lse - target_logit
// and hands lse back for the gradient. The probabilities are never stored.
#ifndef CARACAL_KERNELS_CROSS_ENTROPY_CROSS_ENTROPY_H_
#define CARACAL_KERNELS_CROSS_ENTROPY_CROSS_ENTROPY_H_

#include <cstdint>

#include "kernels/common/context.h"
#include "kernels/common/tensor_view.h"

namespace caracal::kernels {

// logits [rows, V] fp32, rows may be strided, V >= 1: the columns of the
// global ids [vocab_begin, vocab_begin + V). targets int32 [rows], global ids;
// those of other shards (or negative) match nothing here.
//     row_max[r]      = max_j logits[r, j]
//     sum_exp[r]      = sum_j exp(logits[r, j] - row_max[r])
//     target_logit[r] = the target's logit, 0 when not in this shard
//     argmax[r]       = global id of the first maximum (int32); or undefined
// A row needs a finite logit; -infinite ones count for nothing, a NaN or
// +infinite one makes sum_exp NaN.
void CrossEntropyStatistics(const Context& ctx, ConstTensorView logits,
                            ConstTensorView targets, int64_t vocab_begin,
                            TensorView row_max, TensorView sum_exp,
                            TensorView target_logit, TensorView argmax);

// In place: logits[r, j] <- row_weight[r] (exp(logits[r, j] - lse[r]) - [j is
// the target]); a row of weight 0 becomes 0, whatever it held. lse,
// row_weight fp32 [rows].
void CrossEntropyGradient(const Context& ctx, TensorView logits,
                          ConstTensorView targets, int64_t vocab_begin,
                          ConstTensorView lse, ConstTensorView row_weight);

}  // namespace caracal::kernels

#endif  // CARACAL_KERNELS_CROSS_ENTROPY_CROSS_ENTROPY_H_
