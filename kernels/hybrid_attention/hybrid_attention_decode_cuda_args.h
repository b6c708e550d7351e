// What hybrid attention's decoding kernels share with their launcher.
#ifndef CARACAL_KERNELS_HYBRID_ATTENTION_HYBRID_ATTENTION_DECODE_CUDA_ARGS_H_
#define CARACAL_KERNELS_HYBRID_ATTENTION_HYBRID_ATTENTION_DECODE_CUDA_ARGS_H_

#include "kernels/hybrid_attention/hybrid_attention_cuda_bind.h"

namespace caracal::kernels::cuda::decode {

inline constexpr int kThreads = 256, kWarps = kThreads / 32;
inline constexpr int kMostFeatures = 256;  // F
inline constexpr int kRowsInFlight = 4;    // of the state, a thread

// Of the first of two kernels.
inline constexpr int kManyThreads = 128, kManyWarps = kManyThreads / 32;
inline constexpr int kManyMostD = 128;
// Of the second: keys that have left, whose features wait beside a state.
inline constexpr int kMostWaiting = 7;

// The operands as the kernels see them.
struct DecodeArgs {
  Args a;  // what it has of a head: shape, maps, window
  int ring_rows = 0, sink_rows = 0;
  const int32_t* length = nullptr;
  HeadRows<const bf16> q, k, v;
  HeadRows<bf16> y;
  bf16 *ring_k = nullptr, *ring_v = nullptr;
  bf16 *sink_k = nullptr, *sink_v = nullptr;
  float *state = nullptr, *norm = nullptr;
  float* waiting = nullptr;  // [N, H, waiting_rows, Fout]
  int waiting_rows = 0;
  const int32_t* begun = nullptr;              // [N] or null: zeros
  const float *cos = nullptr, *sin = nullptr;  // [positions, D / 2]
  int slices = 1;
  int maps_at = 0;  // where a block copies its maps to, in bytes; 0: nowhere
  float* work = nullptr;  // of two kernels: [N, H, WorkOf(a)]
};

// Floats that the first of two kernels leaves for the second, of a head: alpha
// phi_q and phi_k [Fout] each (zeros for what has no part), the weighted sum of
// the softmax set's values [D], the denominator so far; a multiple of 16 bytes.
inline constexpr int64_t WorkOf(const Args& a) {
  return (2 * a.Fout + a.D + 4) / 4 * 4;
}

// Both take D of at most kManyMostD and sliding windows. The first makes the
// work and puts the tokens into rings and sinks. The second reads the state and
// moves it on.
void LaunchPrepare(const DecodeArgs& d, int64_t sequences, cudaStream_t stream);
void LaunchState(const DecodeArgs& d, int64_t sequences, cudaStream_t stream);

}  // namespace caracal::kernels::cuda::decode

#endif  // CARACAL_KERNELS_HYBRID_ATTENTION_HYBRID_ATTENTION_DECODE_CUDA_ARGS_H_
