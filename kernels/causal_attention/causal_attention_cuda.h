// Full causal softmax attention on a CUDA device, forward: the contract of
// causal_attention.h, with these differences.
//  - q, k, v, y are bf16, lse is fp32. Products take bf16 operands and
//    accumulate in fp32: weights are rounded to bf16 where they meet v.
//  - Views start at a multiple of 16 bytes and their row and head strides are
//    multiples of 8 elements; D is a multiple of 8, at most 256.
//  - All views are device memory; offsets stay host memory, are read before the
//    call returns and travel in kernel parameters. No call waits for the device
//    or allocates device memory.
//  - Same inputs, same bits.
//  - Inputs are finite. Tiles reach over the ends of sequences, where they meet
//    zero weights: a NaN in one sequence can show in the one before.
//
// Versions, chosen by shape: on Hopper's tensor cores for D <= 128, fastest for
// 64 and 128; and a plain one for everything else.
#ifndef CARACAL_KERNELS_CAUSAL_ATTENTION_CAUSAL_ATTENTION_CUDA_H_
#define CARACAL_KERNELS_CAUSAL_ATTENTION_CAUSAL_ATTENTION_CUDA_H_

#include "kernels/causal_attention/causal_attention.h"
#include "kernels/common/cuda_version.h"

namespace caracal::kernels {

size_t CausalAttentionForwardCudaWorkspaceBytes(
    const CausalAttentionInputs& in);

void CausalAttentionForwardCuda(const Context& ctx,
                                const CausalAttentionInputs& in, TensorView y,
                                TensorView lse, Workspace workspace,
                                CudaVersion version = CudaVersion::kBest);

}  // namespace caracal::kernels

#endif  // CARACAL_KERNELS_CAUSAL_ATTENTION_CAUSAL_ATTENTION_CUDA_H_
