// KL divergence on a CUDA device: the contract of kl_divergence.h, with these
// differences.
//  - logits and teacher are both bf16 or both fp32, computed on in fp32; the
//    gradient is rounded to their type. They start at a multiple of 16 bytes
//    and their rows lie a multiple of 16 bytes apart; any V.
//  - All views are device memory. No call waits for the device or allocates.
//  - Same inputs, same bits: no atomics, fixed order of sums.
#ifndef CARACAL_KERNELS_CROSS_ENTROPY_KL_DIVERGENCE_CUDA_H_
#define CARACAL_KERNELS_CROSS_ENTROPY_KL_DIVERGENCE_CUDA_H_

#include "kernels/cross_entropy/kl_divergence.h"

namespace caracal::kernels {

void KlDivergenceCuda(const Context& ctx, KlDirection direction,
                      ConstTensorView logits, ConstTensorView teacher,
                      ConstTensorView lse, ConstTensorView teacher_lse,
                      TensorView kl);

void KlGradientCuda(const Context& ctx, KlDirection direction,
                    ConstTensorView logits, TensorView teacher,
                    ConstTensorView lse, ConstTensorView teacher_lse,
                    ConstTensorView kl, ConstTensorView weight);

}  // namespace caracal::kernels

#endif  // CARACAL_KERNELS_CROSS_ENTROPY_KL_DIVERGENCE_CUDA_H_
