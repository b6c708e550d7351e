// Cross-entropy of attention weights on a CUDA device: the contract of
// weight_loss.h, with these differences.
//  - q, k are bf16, parameters and gradients fp32, all of them device memory;
//    D is a multiple of 16, feature maps have at most
//    WeightLossCudaMostFeatures(D, shared memory of the device's blocks)
//    outputs.
//  - Features are rounded to bf16 where they are multiplied by each other, and
//    so is the gradient of the weights where it meets the features; sums and
//    statistics are fp32.
//  - The sums of losses are added to fp64 in device memory.
//  - No call waits for the device or allocates. Same inputs, same bits.
//
// No T x T: scores exist for 16 queries by 64 keys of a warp. Queries go over
// their keys twice (statistics; losses and gradient), three times where a
// weight is below the floor, keys over their queries once: 3 T^2 / 2 (D + Fout)
// + 2 T^2 / 2 Fout products a head.
#ifndef CARACAL_KERNELS_HYBRID_ATTENTION_WEIGHT_LOSS_CUDA_H_
#define CARACAL_KERNELS_HYBRID_ATTENTION_WEIGHT_LOSS_CUDA_H_

#include "kernels/hybrid_attention/weight_loss.h"
#include "kernels/hybrid_attention/weight_loss_cuda_limits.h"

namespace caracal::kernels {

size_t AttentionWeightLossCudaWorkspaceBytes(
    const HybridAttentionConfig& config, const HybridAttentionInputs& in);

// Either sum may be null.
void AttentionWeightLossBackwardCuda(
    const Context& ctx, const HybridAttentionConfig& config,
    const HybridAttentionInputs& in, float scale,
    const HybridAttentionGradients& grads, double* cross_entropy,
    double* teacher_entropy, Workspace workspace);

}  // namespace caracal::kernels

#endif  // CARACAL_KERNELS_HYBRID_ATTENTION_WEIGHT_LOSS_CUDA_H_
