// Backward by keys of rows that are OneKeyPair: the warpgroup with the
// linear terms. Included only by hybrid_attention_cuda_hopper_pair_keys.cu.
#ifndef CARACAL_KERNELS_HYBRID_ATTENTION_HYBRID_ATTENTION_CUDA_PAIR_KEYS_LINEAR_H_
#define CARACAL_KERNELS_HYBRID_ATTENTION_HYBRID_ATTENTION_CUDA_PAIR_KEYS_LINEAR_H_

#include "kernels/hybrid_attention/hybrid_attention_cuda_pair_keys_gradient.h"

namespace caracal::kernels::cuda {

namespace keys {

// Features of rows `number`, times alpha / den, and their delta.
template <int DP>
__device__ __forceinline__ void MakeRowFeatures(Shared<DP>& shared,
                                                const Args& a,
                                                const HopperScratch& scratch,
                                                const PairBlock& b, float alpha,
                                                int number) {
  const int member = threadIdx.x % kGroup, row = ThreadRow();
  const int stage = number % kRowStages, n0 = RowTile(b, number) * kTile;
  const int rows = min(b.segment.length - n0, kTile);  // may be 0 or less
  const int64_t from = b.head * a.rows + b.segment.begin + n0;
  const float f0 = row < rows ? alpha * scratch.inv_den[from + row] : 0;
  const float f1 = row + 8 < rows ? alpha * scratch.inv_den[from + row + 8] : 0;
  const float delta =
      member < rows && member < kTile ? scratch.delta[from + member] : 0;
  const uint32_t phi_q = SharedAddress(shared.phi_q[0]);
  float z[32], up[32], down[32];
  shared.q_full[stage].Wait(number / kRowStages);
  Pin(z);
  WgmmaFence();
  Multiply<DP>(z, KMajor{SharedAddress(shared.q[stage]), kPanel},
               MnMajor{SharedAddress(shared.weight_q), kWeightBytes<DP>},
               false);
  WgmmaCommit();
  WgmmaWait();
  Pin(z);
  ArriveWarp(shared.q_empty[stage]);
  Hedgehog<true>(z, a.F, f0, f1, up, down);
  if (number > 0) shared.phi_empty[0].Wait(number - 1);
  StorePanel(phi_q, up);
  StorePanel(phi_q + kPanel, down);
  if (member < kTile) StoreDelta(shared.deltas[0], member, delta);
  FenceShared();
  shared.phi_full[0].Arrive();
}

// kOwn: PairBlock's `own`.
template <bool kOwn, int DP>
__device__ __forceinline__ void LinearJob(Shared<DP>& shared, const Args& a,
                                          const HopperScratch& scratch,
                                          const PairMaps& maps,
                                          const PairBlock& b) {
  const bool leads = threadIdx.x % kGroup == 0;
  constexpr int kAhead = kOwn ? 1 : 0;
  const int row = ThreadRow();
  const float alpha = Alpha(a, Gamma(a, b.head));
  const KMajor values{SharedAddress(shared.v), kPanel};
  const uint32_t phi_q = SharedAddress(shared.phi_q[0]);
  uint32_t bits = 0;  // of the linear terms
#pragma unroll 1
  for (int i = -kAhead; i < b.count; ++i) {
    const int number = i + kAhead, stage = number % kRowStages;  // of the rows
    MakeRowFeatures(shared, a, scratch, b, alpha, number);
    if (kOwn && i < 0) {
      // The first later rows only enter the suffix.
      ArriveWarp(shared.dy_empty[0]);
      ArriveWarp(shared.phi_empty[0]);
      continue;
    }
    const int tile = KeyTile(b, i);
    if (i == 0 || tile == 0) {
      bits =
          TermBits::OfKeys(a, b.terms, tile * kTile, RowTile(b, number) * kTile)
              .linear;
    }

    // Features of the keys.
    uint32_t phi_k[8][4];
    {
      float z[32], up[32], down[32];
      shared.k_full.Wait(i);
      Pin(z);
      WgmmaFence();
      Multiply<DP>(z, KMajor{SharedAddress(shared.k), kPanel},
                   MnMajor{SharedAddress(shared.weight_k), kWeightBytes<DP>},
                   false);
      WgmmaCommit();
      WgmmaWait();
      Pin(z);
      ArriveWarp(shared.k_empty);
      const int key = tile * kTile + row;
      Hedgehog<true>(z, a.F, KeyFactor(a, b.terms, key),
                     KeyFactor(a, b.terms, key + 8), up, down);
      if (i > 0) shared.linear_empty.Wait(i - 1);
      StorePanel(SharedAddress(shared.phi_k), up);
      StorePanel(SharedAddress(shared.phi_k) + kPanel, down);
      ToOperand(up, reinterpret_cast<uint32_t(&)[4][4]>(phi_k[0]));
      ToOperand(down, reinterpret_cast<uint32_t(&)[4][4]>(phi_k[4]));
      Pin(phi_k);
    }

    // The rows' linear weights, and g.
    shared.phi_full[0].Wait(number);
    {
      float l[32];
      Pin(l);
      WgmmaFence();
      Multiply<kOutputs>(l, phi_k, KMajor{phi_q, kPanel}, false);
      WgmmaCommit();
      WgmmaWait();
      Pin(l);
#pragma unroll
      for (int x = 0; x < 32; ++x) l[x] = Has(bits, x) ? l[x] : 0.0f;
      StorePanel(SharedAddress(shared.linear), l);
    }
    uint32_t g[4][4];
    shared.v_full.Wait(i);
    shared.dy_full[stage].Wait(number / kRowStages);
    float dp[32];
    BeginLater<DP>(values, shared.dy[stage], shared.deltas[0], dp);
    EndLater(bits, dp, g);
    ArriveWarp(shared.dy_empty[stage]);

    float dphi[kOutputs / 2];
    shared.suffix_full[0].Wait(i);
    KeysGradient<DP>(values, shared.suffix, shared.norm, phi_q, g, dphi);
    ArriveWarp(shared.v_empty);
    ArriveWarp(shared.suffix_empty);
    ArriveWarp(shared.phi_empty[0]);

    float dz[32], unused[2];
    ThroughFeatures(phi_k, dphi, unused, dz);
    StorePanel(SharedAddress(shared.dz), dz);
    FenceShared();
    shared.linear_full.Arrive();
    if (a.dweight_k != nullptr) {
      const HeadRows<bf16> out{
          scratch.dz_k, static_cast<int64_t>(a.H) * kFeatures, kFeatures};
      StoreRows(out, b.segment.begin + tile * kTile,
                min(b.segment.length - tile * kTile, kTile), b.head, kFeatures,
                0, dz);
    }
    if (leads) FetchKeys(shared, maps, b, i + 1);
    __syncwarp();
  }
}

}  // namespace keys

}  // namespace caracal::kernels::cuda

#endif  // CARACAL_KERNELS_HYBRID_ATTENTION_HYBRID_ATTENTION_CUDA_PAIR_KEYS_LINEAR_H_
