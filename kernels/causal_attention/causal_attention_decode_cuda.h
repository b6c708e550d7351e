// Full causal softmax attention on a CUDA device for decoding: one new token of
// each of N sequences, against all keys before it. The sums are those of
// causal_attention.h; keys and values lie in a cache that the call adds the
// token's to.
//
// Everything is device memory, lengths included: a step can be recorded in a
// CUDA graph and replayed for every token. No call waits for the device or
// allocates. Same inputs, same bits.
#ifndef CARACAL_KERNELS_CAUSAL_ATTENTION_CAUSAL_ATTENTION_DECODE_CUDA_H_
#define CARACAL_KERNELS_CAUSAL_ATTENTION_CAUSAL_ATTENTION_DECODE_CUDA_H_

#include "kernels/common/context.h"
#include "kernels/common/tensor_view.h"

namespace caracal::kernels {

// The past of N sequences in one layer.
//   keys, values [N, P, Hkv, D] bf16, contiguous: of position j at row j, those
//                before length[i] are there; length[i] < P
struct CausalAttentionDecodeCache {
  const int32_t* length = nullptr;  // [N] tokens before this one
  TensorView keys, values;
};

// The tokens' rows: q [N, H, D], k, v [N, Hkv, D], bf16, RoPE already applied,
// or to be applied here (rope_cuda.h's: cos, sin [positions, D / 2] fp32);
// rows and heads may be strided, start at multiples of 16 bytes and have
// strides of multiples of 8 elements; D a multiple of 8, at most 256.
struct CausalAttentionDecodeInputs {
  ConstTensorView q, k, v;
  ConstTensorView cos, sin;  // both or neither
};

size_t CausalAttentionDecodeCudaWorkspaceBytes(
    const CausalAttentionDecodeInputs& in);

// y [N, H, D] bf16, strided as q may be. Puts the tokens into the cache, but
// does not count them: every layer of a model sees the same `length`.
void CausalAttentionDecodeCuda(const Context& ctx,
                               const CausalAttentionDecodeInputs& in,
                               const CausalAttentionDecodeCache& cache,
                               TensorView y, Workspace workspace);

}  // namespace caracal::kernels

#endif  // CARACAL_KERNELS_CAUSAL_ATTENTION_CAUSAL_ATTENTION_DECODE_CUDA_H_
