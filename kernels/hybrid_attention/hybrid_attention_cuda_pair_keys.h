// Backward by keys of rows that are OneKeyPair: what its warpgroups share, and
// which tiles they fetch when. Included only by its sources.
#ifndef CARACAL_KERNELS_HYBRID_ATTENTION_HYBRID_ATTENTION_CUDA_PAIR_KEYS_H_
#define CARACAL_KERNELS_HYBRID_ATTENTION_HYBRID_ATTENTION_CUDA_PAIR_KEYS_H_

#include "kernels/hybrid_attention/hybrid_attention_cuda_pair.h"

namespace caracal::kernels::cuda {

namespace keys {

inline constexpr int kSoftmaxGroup = 2;
inline constexpr int kRowStages = 2;
inline constexpr int kDeltaPanel =
    8 * 128;  // [8, 64]: the first rows add up to delta

// What the softmax terms need of 64 rows.
struct RowTerms {
  float shift[kTile];  // p = 2^(s scale - shift)
  float delta[kTile], dmax[kTile];
  int argmax[kTile];
};

template <int DP>
struct Shared {
  char weight_q[kWeightBytes<DP>];
  char weight_k[kWeightBytes<DP>];
  char k[kRowsBytes<DP>];
  char v[kRowsBytes<DP>];
  char q[kRowStages][kRowsBytes<DP>];
  char dy[kRowStages][kRowsBytes<DP>];
  char phi_q[kPhiBytes];  // times alpha / den
  char phi_k[kPhiBytes];
  char suffix[kStateBytes<DP>];
  char dz[kPanel];
  char linear[kPanel];  // weights of the later rows [keys, rows]
  char deltas[kDeltaPanel];
  RowTerms rows[kRowStages];
  float delta[kTile];  // of the later rows
  float norm[kOutputs];
  Barrier q_full[kRowStages], q_empty[kRowStages];
  Barrier dy_full[kRowStages], dy_empty[kRowStages];
  Barrier k_full, k_empty, v_full, v_empty;
  Barrier phi_full, phi_empty;        // phi_q, deltas, delta
  Barrier suffix_full, suffix_empty;  // suffix, norm
  Barrier linear_full, linear_empty;  // phi_k, dz, linear
};

struct Jobs {
  bool linear, softmax;
  __device__ __forceinline__ Jobs(const Args& a, const PairBlock& b)
      : linear(b.linear),
        softmax(a.dk.data != nullptr || a.dv.data != nullptr) {}
};

// The i-th tile of keys, and rows counted as above.
__device__ __forceinline__ int KeyTile(const PairBlock& b, int i) {
  return b.first_tile + b.count - 1 - i;
}
__device__ __forceinline__ int RowTile(const PairBlock& b, int number) {
  return b.first_tile + b.count - number;
}

template <int DP>
__device__ __forceinline__ void InitBarriers(Shared<DP>& shared,
                                             const Jobs& jobs) {
  const int linear = jobs.linear ? kWarps : 0;
  const int softmax = jobs.softmax ? kWarps : 0;
  for (int i = 0; i < kRowStages; ++i) {
    shared.q_full[i].Init(1);
    shared.dy_full[i].Init(1);
    shared.q_empty[i].Init(linear + softmax);
    shared.dy_empty[i].Init(2 * linear + softmax);
  }
  shared.k_full.Init(1);
  shared.v_full.Init(1);
  shared.k_empty.Init(linear + softmax);
  shared.v_empty.Init(linear + softmax);
  shared.phi_full.Init(kGroup);
  shared.phi_empty.Init(kGroup + kWarps);  // readers of delta; products
  shared.suffix_full.Init(kGroup);
  shared.suffix_empty.Init(kGroup + softmax);  // readers of norm; products
  shared.linear_full.Init(kGroup);
  shared.linear_empty.Init(kWarps);
  FenceBarriers();
}

// One thread each.
template <int DP>
__device__ __forceinline__ void FetchRows(Shared<DP>& shared,
                                          const PairMaps& maps,
                                          const PairBlock& b, int number) {
  if (number > b.count) return;
  const int stage = number % kRowStages, use = number / kRowStages;
  const int tile = RowTile(b, number) - b.first_tile + 1;
  if (use > 0) shared.q_empty[stage].Wait(use - 1);
  FetchTile<DP>(maps.q, b, b.head, tile, shared.q[stage], shared.q_full[stage]);
  if (use > 0) shared.dy_empty[stage].Wait(use - 1);
  FetchTile<DP>(maps.dy, b, b.head, tile, shared.dy[stage],
                shared.dy_full[stage]);
}
template <int DP>
__device__ __forceinline__ void FetchKeys(Shared<DP>& shared,
                                          const PairMaps& maps,
                                          const PairBlock& b, int i) {
  if (i >= b.count) return;
  const int tile = KeyTile(b, i) - b.first_tile + 1;
  if (i > 0) shared.k_empty.Wait(i - 1);
  FetchTile<DP>(maps.k, b, b.kv, tile, shared.k, shared.k_full);
  if (i > 0) shared.v_empty.Wait(i - 1);
  FetchTile<DP>(maps.v, b, b.kv, tile, shared.v, shared.v_full);
}

}  // namespace keys

}  // namespace caracal::kernels::cuda

#endif  // CARACAL_KERNELS_HYBRID_ATTENTION_HYBRID_ATTENTION_CUDA_PAIR_KEYS_H_
