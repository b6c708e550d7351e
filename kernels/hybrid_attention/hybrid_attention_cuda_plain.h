// The plain CUDA version: every shape, fp32 throughout (the feature maps'
// products by tensor cores, what they multiply split into bf16 numbers that add
// up to it), attention one block a row. Its
// linear part costs O(Fout D) a row through states stored every kTile keys; it
// is the yardstick of the tensor-core version and its stand-in for odd shapes.
#ifndef CARACAL_KERNELS_HYBRID_ATTENTION_HYBRID_ATTENTION_CUDA_PLAIN_H_
#define CARACAL_KERNELS_HYBRID_ATTENTION_HYBRID_ATTENTION_CUDA_PLAIN_H_

#include <cuda_runtime_api.h>

#include <cstddef>
#include <cstdint>

#include "kernels/hybrid_attention/hybrid_attention_cuda_args.h"

namespace caracal::kernels::cuda {

// Scratch memory, cut from one block. Stored states: slot offsets[i] / kTile +
// b - 1 holds the sums over sequence i's keys [0, b kTile), b >= 1.
struct PlainScratch {
  float* phi_q = nullptr;  // [H, rows, Fout]
  float* phi_k = nullptr;  // [H, rows, Fout]
  float* state = nullptr;  // [slots, H, Fout, D]
  float* norm = nullptr;   // [slots, H, Fout]

  // The backward's.
  float* dy = nullptr;      // [rows, H, D]
  float* suffix = nullptr;  // [slots, H, Fout, D]
  float* suffix_norm = nullptr;
  float* dphi_q = nullptr;   // [H, rows, Fout]; then dz [H, rows, F]
  float* dphi_k = nullptr;   // the same
  float* dx_q = nullptr;     // [rows, H, D]
  float* dx_k = nullptr;     // [rows, Hkv, D]
  float* row_max = nullptr;  // [H, rows], as all below
  float* inv_den = nullptr;  // 1 / den, 0 if den = 0
  float* delta = nullptr;    // dy . y
  float* dmax = nullptr;     // gradient of c_n
  int* argmax = nullptr;     // position of the key that gives c_n
  float* dfactor = nullptr;  // the row's share of dw_h
  float* error = nullptr;    // the row's squared error
  // [chunks of rows, H, D + 1, F]: of dweight, and of dbias at D
  float* weight_parts = nullptr;

  size_t bytes = 0;
};

// `memory` null: only `bytes` counts.
PlainScratch PlainForwardScratch(const Args& a, void* memory);
PlainScratch PlainBackwardScratch(const Args& a, void* memory);

void PlainForward(const Args& a, const PlainScratch& scratch,
                  cudaStream_t stream);
void PlainBackward(const Args& a, const PlainScratch& scratch,
                   cudaStream_t stream);
// What dphi_q and dphi_k (which become dz) and dfactor add to the parameters'
// gradients, in two steps.
void PlainFeatureBackward(const Args& a, const PlainScratch& scratch,
                          cudaStream_t stream);
void PlainParameterGradients(const Args& a, const PlainScratch& scratch,
                             cudaStream_t stream);
// Elements of PlainScratch.weight_parts.
int64_t PlainWeightParts(const Args& a);

// Features of all rows, where there are any; and, where it is asked for, the
// same in bf16, zeros from Fout on to rows of `padded`.
void PlainFeatures(const Args& a, const PlainScratch& scratch,
                   cudaStream_t stream, bf16* rounded_q = nullptr,
                   bf16* rounded_k = nullptr, int padded = 0);
// Of keys alone: phi_k [H, rows, Fout].
void PlainKeyFeatures(const Args& a, float* phi_k, cudaStream_t stream);
// And the stored states: the first step of both.
void PlainPrepare(const Args& a, const PlainScratch& scratch,
                  cudaStream_t stream);

// Bytes of shared memory for the keys one row looks at one by one.
size_t PlainRowBytes(const Args& a);

}  // namespace caracal::kernels::cuda

#endif  // CARACAL_KERNELS_HYBRID_ATTENTION_HYBRID_ATTENTION_CUDA_PLAIN_H_
