// Hybrid attention on a CUDA device for decoding: one new token of each of N
// sequences. The sums are those of hybrid_attention.h; the past lies in a cache
// that the call reads and moves on by the token, and time does not depend on
// how long it is.
//
// Everything is device memory, lengths included: a step can be recorded in a
// CUDA graph and replayed for every token. No call waits for the device or
// allocates. Same inputs, same bits.
//
// On Hopper a call may read cache, lengths, terms and feature maps while the
// kernel before it on the stream still runs: that one must not write them.
#ifndef CARACAL_KERNELS_HYBRID_ATTENTION_HYBRID_ATTENTION_DECODE_CUDA_H_
#define CARACAL_KERNELS_HYBRID_ATTENTION_HYBRID_ATTENTION_DECODE_CUDA_H_

#include "kernels/hybrid_attention/hybrid_attention.h"

namespace caracal::kernels {

// The past of N sequences in one layer; n_i = length[i] tokens of sequence i.
//   ring_k, ring_v  [N, P, Hkv, D] bf16: key j at row j % P, those from
//                   WindowStart(n_i) on; P >= W, terraced windows P >= 2 W
//   sink_k, sink_v  [N, >= S, Hkv, D] bf16: the first min(S, n_i) keys;
//                   undefined if S is 0
//   state [N, H, Fout, D], state_norm [N, H, Fout]: fp32, contiguous, as those
//                   of HybridAttentionPast; undefined if no term is linear
//   waiting [N, H, R, Fout]: fp32, contiguous, or undefined (R is 0). A state
//   is written once in R + 1 tokens only: meanwhile the features of the up to R
//   keys that left last are here, and P >= W + R. What the state then lacks are
//   the last ones of those that left since the sequence had begun[i] tokens
//   (all that had left by then is in the state), modulo R + 1.
// Rings and sinks have the strides of contiguous memory.
struct HybridAttentionDecodeCache {
  const int32_t* length = nullptr;  // [N] tokens
  TensorView ring_k, ring_v;
  TensorView sink_k, sink_v;
  TensorView state, state_norm;
  TensorView waiting;
  const int32_t* begun = nullptr;  // [N] tokens; null: zeros
};

// The tokens' rows: q [N, H, D], k, v [N, Hkv, D], bf16, RoPE already applied,
// or to be applied here (rope_cuda.h's: cos, sin [positions, D / 2] fp32);
// rows and heads may be strided, start at multiples of 16 bytes and have
// strides of multiples of 8 elements; D a multiple of 8, at most 256 (at most
// 128 on chips before Hopper). Feature maps and factor as in
// HybridAttentionInputs, fp32; F at most 256.
struct HybridAttentionDecodeInputs {
  ConstTensorView q, k, v;
  ConstTensorView weight_q, weight_k;
  ConstTensorView bias_q, bias_k;
  ConstTensorView window_factor;
  ConstTensorView cos, sin;        // both or neither
  const uint8_t* terms = nullptr;  // [N, H]
};

// Whether a call with such heads runs on the current device: a window's scores
// lie in a multiprocessor's shared memory (tens of thousands of keys).
bool HybridAttentionDecodeCudaSupports(const HybridAttentionConfig& config,
                                       int64_t head_dim, int64_t features);

// R of a cache that is always used for so many sequences, 0 for few of them:
// then a call (and terraced windows) takes no cache with keys that wait.
int64_t HybridAttentionDecodeCudaWaitingKeys(
    const HybridAttentionConfig& config, int64_t sequences, int64_t heads,
    int64_t head_dim);

// What a call with these shapes needs; nothing for few sequences.
size_t HybridAttentionDecodeCudaWorkspaceBytes(
    const HybridAttentionConfig& config, const HybridAttentionDecodeInputs& in);

// y [N, H, D] bf16, strided as q may be. Puts the tokens into the cache, but
// does not count them: every layer of a model sees the same `length`.
// Window kinds sliding and terraced.
void HybridAttentionDecodeCuda(const Context& ctx,
                               const HybridAttentionConfig& config,
                               const HybridAttentionDecodeInputs& in,
                               const HybridAttentionDecodeCache& cache,
                               TensorView y, Workspace workspace);

// After the last layer: length[i] += 1 for N sequences.
void HybridAttentionDecodeAdvanceCuda(const Context& ctx, int32_t* length,
                                      int64_t sequences);

// Whole texts, which decoding goes on from: rows of sequence i are
// [offsets[i], offsets[i + 1]) of k, v [rows, Hkv, D], as in the inputs above,
// RoPE applied.
struct HybridAttentionDecodeTexts {
  ConstTensorView k, v;
  ConstTensorView weight_k, bias_k;
  int64_t heads = 0;                 // H
  const int64_t* offsets = nullptr;  // [sequences + 1], host memory
  int64_t sequences = 0;
};

size_t HybridAttentionDecodeStatesCudaWorkspaceBytes(
    const HybridAttentionConfig& config,
    const HybridAttentionDecodeTexts& texts);

// The states that such a cache has after the texts; rings and sinks are the
// caller's part. Features and sums are fp32.
void HybridAttentionDecodeStatesCuda(const Context& ctx,
                                     const HybridAttentionConfig& config,
                                     const HybridAttentionDecodeTexts& texts,
                                     TensorView state, TensorView state_norm,
                                     Workspace workspace);

}  // namespace caracal::kernels

#endif  // CARACAL_KERNELS_HYBRID_ATTENTION_HYBRID_ATTENTION_DECODE_CUDA_H_
