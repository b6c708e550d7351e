// Backward by keys of rows that are OneKeyPair: what its warpgroups share, and
// which tiles they fetch when. Included only by its sources.
#ifndef CARACAL_KERNELS_HYBRID_ATTENTION_HYBRID_ATTENTION_CUDA_PAIR_KEYS_H_
#define CARACAL_KERNELS_HYBRID_ATTENTION_HYBRID_ATTENTION_CUDA_PAIR_KEYS_H_

#include "kernels/hybrid_attention/hybrid_attention_cuda_pair.h"

namespace caracal::kernels::cuda {

namespace keys {

inline constexpr int kSoftmaxGroup = 2;
inline constexpr int kRowStages = 2;
// The rows' delta [64] as the operand [8, 64] of a product: the first two rows
// add up to it.
inline constexpr int kDeltaPanel = 8 * 128;
// r as such an operand, and what a product of 16 rows takes to lie beyond it.
inline constexpr int kSuffixNormBytes = 2 * kNormBytes;

// What the softmax terms need of 64 rows.
struct RowTerms {
  float shift[kTile];  // p = 2^(s scale - shift)
  float delta[kTile], dmax[kTile];
  int argmax[kTile];
};

template <int DP>
struct Shared {
  static constexpr int kPhis = 1;   // tiles of the later rows' features
  static constexpr int kTurns = 1;  // warpgroups that take a suffix in turn

  char weight_q[kWeightBytes<DP>];
  char weight_k[kWeightBytes<DP>];
  char k[kRowsBytes<DP>];
  char v[kRowsBytes<DP>];
  char q[kRowStages][kRowsBytes<DP>];
  char dy[kRowStages][kRowsBytes<DP>];
  char phi_q[kPhis][kPhiBytes];  // times alpha / den
  char phi_k[kPhiBytes];
  char suffix[kStateBytes<DP>];
  char dz[kPanel];
  char linear[kPanel];  // weights of the later rows [keys, rows]
  // Products of 16 rows read 8 beyond these: they have to be numbers.
  char deltas[kPhis][kDeltaPanel];  // of the later rows
  char norm[kSuffixNormBytes];
  RowTerms rows[kRowStages];
  Barrier q_full[kRowStages], q_empty[kRowStages];
  Barrier dy_full[kRowStages], dy_empty[kRowStages];
  Barrier k_full, k_empty, v_full, v_empty;
  Barrier phi_full[kPhis], phi_empty[kPhis];  // phi_q, deltas
  Barrier suffix_full[kTurns], suffix_empty;  // suffix, norm
  Barrier linear_full, linear_empty;          // phi_k, dz, linear
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
                                             const PairBlock& b) {
  const int linear = b.linear ? kWarps : 0, softmax = b.own ? 0 : kWarps;
  for (int i = 0; i < kRowStages; ++i) {
    shared.q_full[i].Init(1);
    shared.dy_full[i].Init(1);
    shared.q_empty[i].Init(linear + softmax);
    shared.dy_empty[i].Init(2 * linear + kWarps);
  }
  shared.k_full.Init(1);
  shared.v_full.Init(1);
  shared.k_empty.Init(linear + softmax);
  shared.v_empty.Init(linear + softmax);
  shared.phi_full[0].Init(kGroup);
  shared.phi_empty[0].Init(2 * kWarps);
  shared.suffix_full[0].Init(kGroup);
  shared.suffix_empty.Init(2 * kWarps);
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

// 64 columns of the i-th tile's dk or dv: of all heads, or this one's part
// where heads share keys.
__device__ __forceinline__ void StoreKeyRows(const Args& a, const PairBlock& b,
                                             int i, const HeadRows<bf16>& all,
                                             bf16* part, int first,
                                             const float (&x)[32]) {
  const int n = KeyTile(b, i) * kTile;
  const HeadRows<bf16> to =
      part != nullptr
          ? HeadRows<bf16>{part, static_cast<int64_t>(a.H) * a.D, a.D}
          : all;
  StoreRows(to, b.segment.begin + n, min(b.segment.length - n, kTile),
            part != nullptr ? b.head : b.kv, a.D, first, x);
}

}  // namespace keys

}  // namespace caracal::kernels::cuda

#endif  // CARACAL_KERNELS_HYBRID_ATTENTION_HYBRID_ATTENTION_CUDA_PAIR_KEYS_H_
