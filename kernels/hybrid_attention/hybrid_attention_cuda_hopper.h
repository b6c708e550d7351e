// The tensor-core version for Hopper (wgmma): chunks of 64 rows, the state of
// the keys left of all windows in registers, sequences cut into segments that
// run in parallel. Hedgehog, a map a head, without bias, D <= 128, F <= 64.
#ifndef CARACAL_KERNELS_HYBRID_ATTENTION_HYBRID_ATTENTION_CUDA_HOPPER_H_
#define CARACAL_KERNELS_HYBRID_ATTENTION_HYBRID_ATTENTION_CUDA_HOPPER_H_

#include <cuda_runtime_api.h>

#include <cstddef>
#include <cstdint>

#include "kernels/hybrid_attention/hybrid_attention_cuda.h"
#include "kernels/hybrid_attention/hybrid_attention_cuda_args.h"

namespace caracal::kernels::cuda {

// Whether shape and current device suit.
bool HopperSupports(const Args& a);

// What a forward may leave for the backward; without the memory.
HybridAttentionBorders HopperBorders(const Args& a, const int64_t* offsets);

// The tables of `in` go to the device with the segments' (args' own are not
// used), those that are not there yet; `memory` is 256-byte aligned. `borders`:
// memory in which a forward leaves its states and where a backward finds them;
// null: they are scratch.
size_t HopperForwardBytes(const Args& a, const int64_t* offsets);
void HopperForward(const Args& args, const HybridAttentionInputs& in,
                   void* memory, void* borders, cudaStream_t stream);

size_t HopperBackwardBytes(const Args& a, const int64_t* offsets);
void HopperBackward(const Args& args, const HybridAttentionInputs& in,
                    void* memory, void* borders, cudaStream_t stream);

}  // namespace caracal::kernels::cuda

#endif  // CARACAL_KERNELS_HYBRID_ATTENTION_HYBRID_ATTENTION_CUDA_HOPPER_H_
