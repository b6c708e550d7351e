// Hybrid attention's operands as the CUDA kernels see them: device pointers
// and numbers, passed by value.
#ifndef CARACAL_KERNELS_HYBRID_ATTENTION_HYBRID_ATTENTION_CUDA_ARGS_H_
#define CARACAL_KERNELS_HYBRID_ATTENTION_HYBRID_ATTENTION_CUDA_ARGS_H_

#include <cuda_bf16.h>

#include <cstdint>

#include "kernels/common/cuda_head_rows.h"
#include "kernels/common/head_rows.h"
#include "kernels/hybrid_attention/hybrid_attention.h"

namespace caracal::kernels::cuda {

// Rows of a tile and, in the plain version, keys between two stored states.
inline constexpr int kTile = 64;

struct Args {
  int window = 0, sinks = 0;  // at most rows + 1
  bool terraced = false, affine = false;
  bool from_end = false;  // kLolcatsTerraced, with terraced; plain kernels only
  FeatureMapKind map = FeatureMapKind::kHedgehog;
  int H = 0, Hkv = 0, D = 0, F = 0, Fout = 0, sequences = 0;
  int maps = 0;  // H, or 1: all heads share theirs
  int64_t rows = 0;
  const int64_t* offsets = nullptr;  // [sequences + 1], device
  const uint8_t* terms = nullptr;    // [sequences, H], device

  HeadRows<const bf16> q, k, v;
  const float* weight_q = nullptr;       // [maps, D, F]
  const float* weight_k = nullptr;       // [maps, D, F]
  const float* bias_q = nullptr;         // [maps, F] or null
  const float* bias_k = nullptr;         // [maps, F] or null
  const float* window_factor = nullptr;  // [H]

  // The forward's; each may be null in a backward.
  HeadRows<bf16> y;
  float* row_max = nullptr;      // [H, rows]
  float* softmax_den = nullptr;  // [H, rows]
  float* linear_den = nullptr;   // [H, rows]

  // The backward's.
  HeadRows<const bf16> dy, target;  // one of them
  float scale = 0;
  double* squared_error = nullptr;
  HeadRows<const bf16> saved_y;  // what the forward left; all three or none
  const float* saved_softmax_den = nullptr;  // [H, rows]
  const float* saved_linear_den = nullptr;   // [H, rows]
  HeadRows<bf16> dq, dk, dv;
  float* dweight_q = nullptr;
  float* dweight_k = nullptr;
  float* dbias_q = nullptr;
  float* dbias_k = nullptr;
  float* dwindow_factor = nullptr;
};

#ifdef __CUDACC__

__device__ __forceinline__ int KvHead(const Args& a, int head) {
  return head / (a.H / a.Hkv);
}

// Which of the feature maps is a head's.
__device__ __forceinline__ int MapOf(const Args& a, int head) {
  return a.maps == 1 ? 0 : head;
}

// What a sequence's first block is short of.
__device__ __forceinline__ int Phase(const Args& a, int64_t length) {
  return a.from_end ? static_cast<int>(LolcatsPhase(a.window, length)) : 0;
}

// Of a sequence's head: the table's, and what kLolcatsTerraced adds to them in
// short sequences.
__device__ __forceinline__ int TermsOf(const Args& a, int sequence, int head) {
  const int terms = a.terms[sequence * a.H + head];
  if (!a.from_end || !(terms & kLinearPastTerms)) return terms;
  const int64_t length = a.offsets[sequence + 1] - a.offsets[sequence];
  return NearKeysAreLinear(WindowKind::kLolcatsTerraced, a.window, length)
             ? terms | kLinearNearTerms
             : terms;
}

// Left border of position n's window.
__device__ __forceinline__ int Start(const Args& a, int n, int phase = 0) {
  const int w = a.window;
  const int start = a.terraced ? ((n + phase) / w - 1) * w - phase : n - w + 1;
  return start > 0 ? start : 0;
}

// Row n computes the keys from here on one by one; a state holds the others.
__device__ __forceinline__ int StateEnd(const Args& a, int n, int phase = 0) {
  return Start(a, n, phase) / kTile * kTile;
}

// What key j is to a row whose window starts at `start`, j <= n.
__device__ __forceinline__ bool InSoftmaxSet(const Args& a, int start, int j) {
  return j >= start || j < a.sinks;
}
__device__ __forceinline__ bool SoftmaxTerm(const Args& a, int terms, int start,
                                            int j) {
  if (j >= a.sinks) return j >= start && (terms & kNearTerms);
  return terms & (j >= start ? kNearSinkTerms : kFarSinkTerms);
}
__device__ __forceinline__ bool LinearTerm(const Args& a, int terms, int start,
                                           int j) {
  return terms &
         (InSoftmaxSet(a, start, j) ? kLinearNearTerms : kLinearPastTerms);
}
// Whether key j has a linear term in the rows whose window lies right of it.
__device__ __forceinline__ bool StateTerm(const Args& a, int terms, int j) {
  return terms & (j < a.sinks ? kLinearNearTerms : kLinearPastTerms);
}
__device__ __forceinline__ bool AnyLinear(int terms) {
  return terms & (kLinearPastTerms | kLinearNearTerms);
}
__device__ __forceinline__ bool AnySoftmax(int terms) {
  return terms & (kNearTerms | kNearSinkTerms | kFarSinkTerms);
}

__device__ __forceinline__ float Gamma(const Args& a, int head) {
  return 1.0f / (1.0f + expf(-a.window_factor[head]));
}
__device__ __forceinline__ float Alpha(const Args& a, float gamma) {
  return a.affine ? 1.0f - gamma : 1.0f;
}

// Lets a line of memory begin its way to the second-level cache.
__device__ __forceinline__ void FetchLine(const void* at) {
  asm volatile("prefetch.global.L2 [%0];" ::"l"(at));
}

#endif  // __CUDACC__

}  // namespace caracal::kernels::cuda

#endif  // CARACAL_KERNELS_HYBRID_ATTENTION_HYBRID_ATTENTION_CUDA_ARGS_H_
