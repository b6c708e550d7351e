// Hybrid attention on a CUDA device: the contract of hybrid_attention.h, with
// these differences.
//  - q, k, v, y, dy, target, dq, dk, dv are bf16, past_k, past_v, sink_k,
//    sink_v too; parameters, statistics, state and the parameters' gradients
//    are fp32. Products take bf16 operands and accumulate in fp32: weights and
//    features are rounded to bf16 where they enter one.
//  - bf16 views start at a multiple of 16 bytes and their row and head strides
//    are multiples of 8 elements; D is a multiple of 8.
//  - All views, and squared_error, are device memory; offsets and terms stay
//    host memory, are read before the call returns and travel in kernel
//    parameters. No call waits for the device or allocates.
//  - There is no past yet: `past` must be null.
//  - Gradients do not depend on scheduling: no atomics, fixed order of sums.
//  - Inputs are finite. Tiles reach over the ends of sequences, where they meet
//    zero weights: a NaN in one sequence can show in the next.
//
// Versions, chosen by shape: on Hopper's tensor cores for D <= 128 and F <= 64
// (hedgehog, a map a head, no bias), fastest for F = 64, windows of a tile of
// 64 and at most 16 sinks; and a plain one for everything else.
#ifndef CARACAL_KERNELS_HYBRID_ATTENTION_HYBRID_ATTENTION_CUDA_H_
#define CARACAL_KERNELS_HYBRID_ATTENTION_HYBRID_ATTENTION_CUDA_H_

#include <cstddef>
#include <cstdint>

#include "kernels/common/cuda_version.h"
#include "kernels/hybrid_attention/hybrid_attention.h"

namespace caracal::kernels {

size_t HybridAttentionForwardCudaWorkspaceBytes(
    const HybridAttentionConfig& config, const HybridAttentionInputs& in,
    CudaVersion version = CudaVersion::kBest);

// The linear states at the borders of the segments that long sequences are cut
// into. A forward can leave them to the backward of the same inputs, which
// otherwise forms them again.
struct HybridAttentionBorders {
  size_t bytes = 0;        // of the memory; 0: nothing is cut
  uint64_t segments = 0;   // which segments these are: calls must agree
  void* memory = nullptr;  // of the device, 256-byte aligned; the caller's
};

// Without the memory.
HybridAttentionBorders HybridAttentionBordersCuda(
    const HybridAttentionConfig& config, const HybridAttentionInputs& in,
    CudaVersion version = CudaVersion::kBest);

// Fills borders.memory, if there is any.
void HybridAttentionForwardCuda(const Context& ctx,
                                const HybridAttentionConfig& config,
                                const HybridAttentionInputs& in,
                                const HybridAttentionPast* past,
                                const HybridAttentionOutputs& out,
                                Workspace workspace,
                                CudaVersion version = CudaVersion::kBest,
                                const HybridAttentionBorders& borders = {});

size_t HybridAttentionBackwardCudaWorkspaceBytes(
    const HybridAttentionConfig& config, const HybridAttentionInputs& in,
    const HybridAttentionCotangent& cotangent,
    const HybridAttentionGradients& grads,
    CudaVersion version = CudaVersion::kBest);

// What a forward of the same inputs left: its y, and of its statistics these.
// Spares a backward from a dy the pass that would make them again (the results
// then carry y's rounding), and the states if the borders have memory; of no
// use with a target. Some versions do not look.
struct HybridAttentionSaved {
  ConstTensorView y;                        // [rows, H, D]
  ConstTensorView softmax_den, linear_den;  // [H, rows]
  HybridAttentionBorders borders;
};

// `saved` may be null.
void HybridAttentionBackwardCuda(const Context& ctx,
                                 const HybridAttentionConfig& config,
                                 const HybridAttentionInputs& in,
                                 const HybridAttentionCotangent& cotangent,
                                 const HybridAttentionGradients& grads,
                                 Workspace workspace,
                                 CudaVersion version = CudaVersion::kBest,
                                 const HybridAttentionSaved* saved = nullptr);

}  // namespace caracal::kernels

#endif  // CARACAL_KERNELS_HYBRID_ATTENTION_HYBRID_ATTENTION_CUDA_H_
