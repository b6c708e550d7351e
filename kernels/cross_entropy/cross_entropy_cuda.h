// Softmax cross-entropy on a CUDA device: the contract of cross_entropy.h,
// with these differences.
//  - logits are bf16 or fp32, computed on in fp32; gradients are rounded to
//    the logits' type. They start at a multiple of 16 bytes and their rows lie
//    a multiple of 16 bytes apart; any V.
//  - All views are device memory. No call waits for the device or allocates.
//  - Same inputs, same bits: no atomics, fixed order of sums.
#ifndef CARACAL_KERNELS_CROSS_ENTROPY_CROSS_ENTROPY_CUDA_H_
#define CARACAL_KERNELS_CROSS_ENTROPY_CROSS_ENTROPY_CUDA_H_

#include "kernels/cross_entropy/cross_entropy.h"

namespace caracal::kernels {

// A row whose logits are all -infinite, against the contract, gets the lowest
// fp32 number for its maximum and a sum of 0.
void CrossEntropyStatisticsCuda(const Context& ctx, ConstTensorView logits,
                                ConstTensorView targets, int64_t vocab_begin,
                                TensorView row_max, TensorView sum_exp,
                                TensorView target_logit, TensorView argmax);

void CrossEntropyGradientCuda(const Context& ctx, TensorView logits,
                              ConstTensorView targets, int64_t vocab_begin,
                              ConstTensorView lse, ConstTensorView row_weight);

// What is left of the loss, on fp32 [rows].
// After own_max of all shards became row_max, sum_exp *= exp(own_max -
// row_max): then the shards' sums add up.
void CrossEntropyRescaleCuda(const Context& ctx, ConstTensorView own_max,
                             ConstTensorView row_max, TensorView sum_exp);

// lse = row_max + log(sum_exp); nll = lse - target_logit.
void CrossEntropyLossCuda(const Context& ctx, ConstTensorView row_max,
                          ConstTensorView sum_exp, ConstTensorView target_logit,
                          TensorView lse, TensorView nll);

}  // namespace caracal::kernels

#endif  // CARACAL_KERNELS_CROSS_ENTROPY_CROSS_ENTROPY_CUDA_H_
