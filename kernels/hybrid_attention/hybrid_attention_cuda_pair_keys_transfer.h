// Backward by keys of rows that are OneKeyPair, of the keys' feature map alone:
// what its warpgroups share, and the two with the linear terms, which take
// tiles of keys in turn. Included only by
// hybrid_attention_cuda_hopper_pair_keys.cu.
#ifndef CARACAL_KERNELS_HYBRID_ATTENTION_HYBRID_ATTENTION_CUDA_PAIR_KEYS_TRANSFER_H_
#define CARACAL_KERNELS_HYBRID_ATTENTION_HYBRID_ATTENTION_CUDA_PAIR_KEYS_TRANSFER_H_

#include "kernels/hybrid_attention/hybrid_attention_cuda_pair_keys_gradient.h"

namespace caracal::kernels::cuda {

namespace keys {

template <int DP>
struct TransferShared {
  static constexpr int kPhis = 2;   // tiles of the later rows' features
  static constexpr int kTurns = 2;  // warpgroups that take tiles in turn

  char weight_q[kWeightBytes<DP>];
  char weight_k[kWeightBytes<DP>];
  char k[kRowsBytes<DP>];
  char v[kTurns][kRowsBytes<DP>];
  char q[kRowStages][kRowsBytes<DP>];
  char dy[kRowStages][kRowsBytes<DP>];
  char phi_q[kPhis][kPhiBytes];  // times alpha / den
  char suffix[kStateBytes<DP>];
  // Products of 16 rows read 8 beyond these: they have to be numbers.
  char deltas[kPhis][kDeltaPanel];
  char norm[kSuffixNormBytes];
  Barrier q_full[kRowStages], q_empty[kRowStages];
  Barrier dy_full[kRowStages], dy_empty[kRowStages];
  Barrier k_full[kTurns], k_empty;  // full: one for either's turns
  Barrier v_full[kTurns], v_empty[kTurns];
  Barrier phi_full[kPhis], phi_empty[kPhis];  // phi_q, deltas
  Barrier suffix_full[kTurns], suffix_empty;  // suffix, norm
};

template <int DP>
__device__ __forceinline__ void InitBarriers(TransferShared<DP>& shared) {
  constexpr int kTurns = TransferShared<DP>::kTurns;
  static_assert(kRowStages == kTurns && TransferShared<DP>::kPhis == kTurns);
  for (int i = 0; i < kTurns; ++i) {
    shared.q_full[i].Init(1);
    shared.q_empty[i].Init(kWarps);
    shared.dy_full[i].Init(1);
    shared.dy_empty[i].Init(2 * kWarps);
    shared.k_full[i].Init(1);
    shared.v_full[i].Init(1);
    shared.v_empty[i].Init(kWarps);
    shared.phi_full[i].Init(kGroup);
    shared.phi_empty[i].Init(2 * kWarps);
    shared.suffix_full[i].Init(kGroup);
  }
  shared.k_empty.Init(kWarps);
  shared.suffix_empty.Init(kWarps);
  FenceBarriers();
}

// The i-th tile of keys or values, or the rows number i, once what lies in
// their place is used. One thread each.
template <int DP>
__device__ __forceinline__ void FetchKeyTile(TransferShared<DP>& shared,
                                             const PairMaps& maps,
                                             const PairBlock& b, int i) {
  if (i >= b.count) return;
  if (i > 0) shared.k_empty.Wait(i - 1);
  FetchTile<DP>(maps.k, b, b.kv, KeyTile(b, i) - b.first_tile + 1, shared.k,
                shared.k_full[i % 2]);
}
template <int DP>
__device__ __forceinline__ void FetchValueTile(TransferShared<DP>& shared,
                                               const PairMaps& maps,
                                               const PairBlock& b, int i) {
  if (i >= b.count) return;
  if (i > 1) shared.v_empty[i % 2].Wait(i / 2 - 1);
  FetchTile<DP>(maps.v, b, b.kv, KeyTile(b, i) - b.first_tile + 1,
                shared.v[i % 2], shared.v_full[i % 2]);
}
template <int DP>
__device__ __forceinline__ void FetchQueries(TransferShared<DP>& shared,
                                             const PairMaps& maps,
                                             const PairBlock& b, int i) {
  if (i >= b.count) return;
  if (i > 1) shared.q_empty[i % 2].Wait(i / 2 - 1);
  FetchTile<DP>(maps.q, b, b.head, RowTile(b, i) - b.first_tile + 1,
                shared.q[i % 2], shared.q_full[i % 2]);
}
template <int DP>
__device__ __forceinline__ void FetchGradients(TransferShared<DP>& shared,
                                               const PairMaps& maps,
                                               const PairBlock& b, int i) {
  if (i >= b.count) return;
  if (i > 1) shared.dy_empty[i % 2].Wait(i / 2 - 1);
  FetchTile<DP>(maps.dy, b, b.head, RowTile(b, i) - b.first_tile + 1,
                shared.dy[i % 2], shared.dy_full[i % 2]);
}

// What a thread needs of the rows number i, zeros beyond the sequence.
struct LaterRows {
  float inv[2] = {0, 0};  // 1 / den of its rows
  float delta = 0;        // of row number threadIdx.x % kGroup

  __device__ __forceinline__ void Load(const Args& a,
                                       const HopperScratch& scratch,
                                       const PairBlock& b, int i) {
    const int n0 = RowTile(b, i) * kTile;
    const int rows = min(b.segment.length - n0, kTile);  // may be 0 or less
    const int64_t from = b.head * a.rows + b.segment.begin + n0;
    const int row = ThreadRow(), member = threadIdx.x % kGroup;
    inv[0] = row < rows ? scratch.inv_den[from + row] : 0;
    inv[1] = row + 8 < rows ? scratch.inv_den[from + row + 8] : 0;
    delta = member < min(rows, kTile) ? scratch.delta[from + member] : 0;
  }
};

// One warpgroup's whole job: every other tile of keys.
template <int DP>
__device__ __forceinline__ void KeysInTurn(TransferShared<DP>& shared,
                                           const Args& a,
                                           const HopperScratch& scratch,
                                           const PairMaps& maps,
                                           const PairBlock& b, int turn) {
  const bool leads = threadIdx.x % kGroup == 0;
  const int member = threadIdx.x % kGroup;
  const int row = ThreadRow();
  const float alpha = Alpha(a, Gamma(a, b.head));
  const KMajor values{SharedAddress(shared.v[turn]), kPanel};
  const uint32_t phi_q = SharedAddress(shared.phi_q[turn]);
  uint32_t bits = 0;  // of the linear terms
  LaterRows later;
  if (turn < b.count) later.Load(a, scratch, b, turn);
#pragma unroll 1
  for (int i = turn; i < b.count; i += 2) {
    const int tile = KeyTile(b, i), use = i / 2;
    if (i == turn || tile == 0) {
      bits = TermBits::OfKeys(a, b.terms, tile * kTile, RowTile(b, i) * kTile)
                 .linear;
    }

    // Features of the later rows.
    float z_k[32];
    {
      float z[32], up[32], down[32];
      shared.q_full[turn].Wait(use);
      shared.k_full[turn].Wait(use);
      Pin(z);
      Pin(z_k);
      WgmmaFence();
      Multiply<DP>(z, KMajor{SharedAddress(shared.q[turn]), kPanel},
                   MnMajor{SharedAddress(shared.weight_q), kWeightBytes<DP>},
                   false);
      Multiply<DP>(z_k, KMajor{SharedAddress(shared.k), kPanel},
                   MnMajor{SharedAddress(shared.weight_k), kWeightBytes<DP>},
                   false);
      WgmmaCommit();
      WgmmaWait();
      Pin(z);
      Pin(z_k);
      ArriveWarp(shared.q_empty[turn]);
      ArriveWarp(shared.k_empty);
      if (leads) {
        FetchKeyTile(shared, maps, b, i + 1);
        FetchQueries(shared, maps, b, i + 2);
      }
      __syncwarp();
      Hedgehog<true>(z, a.F, alpha * later.inv[0], alpha * later.inv[1], up,
                     down);
      if (use > 0) shared.phi_empty[turn].Wait(use - 1);
      StorePanel(phi_q, up);
      StorePanel(phi_q + kPanel, down);
      if (member < kTile) StoreDelta(shared.deltas[turn], member, later.delta);
      FenceShared();
      shared.phi_full[turn].Arrive();
    }

    // g; meanwhile the features of the keys.
    shared.phi_full[turn].Wait(use);
    shared.v_full[turn].Wait(use);
    shared.dy_full[turn].Wait(use);
    uint32_t phi_k[8][4], g[4][4];
    {
      float dp[32], up[32], down[32];
      BeginLater<DP>(values, shared.dy[turn], shared.deltas[turn], dp);
      const int key = tile * kTile + row;
      Hedgehog<true>(z_k, a.F, KeyFactor(a, b.terms, key),
                     KeyFactor(a, b.terms, key + 8), up, down);
      ToOperand(up, reinterpret_cast<uint32_t(&)[4][4]>(phi_k[0]));
      ToOperand(down, reinterpret_cast<uint32_t(&)[4][4]>(phi_k[4]));
      Pin(phi_k);
      EndLater(bits, dp, g);
    }
    ArriveWarp(shared.dy_empty[turn]);

    float dphi[kOutputs / 2];
    shared.suffix_full[turn].Wait(use);
    KeysGradient<DP>(values, shared.suffix, shared.norm, phi_q, g, dphi);
    ArriveWarp(shared.suffix_empty);
    ArriveWarp(shared.phi_empty[turn]);
    ArriveWarp(shared.v_empty[turn]);
    if (leads) FetchValueTile(shared, maps, b, i + 2);
    __syncwarp();

    // On their way before they are needed.
    if (i + 2 < b.count) later.Load(a, scratch, b, i + 2);
    float dz[32], unused[2];
    ThroughFeatures(phi_k, dphi, unused, dz);
    const HeadRows<bf16> out{scratch.dz_k,
                             static_cast<int64_t>(a.H) * kFeatures, kFeatures};
    StoreRows(out, b.segment.begin + tile * kTile,
              min(b.segment.length - tile * kTile, kTile), b.head, kFeatures, 0,
              dz);
  }
}

}  // namespace keys

}  // namespace caracal::kernels::cuda

#endif  // CARACAL_KERNELS_HYBRID_ATTENTION_HYBRID_ATTENTION_CUDA_PAIR_KEYS_TRANSFER_H_
