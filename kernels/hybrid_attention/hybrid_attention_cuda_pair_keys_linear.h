// Backward by keys of rows that are OneKeyPair: the warpgroups with the sums
// over later rows and with the linear terms. Included only by
// hybrid_attention_cuda_hopper_pair_keys.cu.
#ifndef CARACAL_KERNELS_HYBRID_ATTENTION_HYBRID_ATTENTION_CUDA_PAIR_KEYS_LINEAR_H_
#define CARACAL_KERNELS_HYBRID_ATTENTION_HYBRID_ATTENTION_CUDA_PAIR_KEYS_LINEAR_H_

#include "kernels/hybrid_attention/hybrid_attention_cuda_pair_keys.h"

namespace caracal::kernels::cuda {

namespace keys {

template <int DP>
__device__ __forceinline__ void SuffixJob(Shared<DP>& shared,
                                          const HopperScratch& scratch,
                                          const Args& a, const PairBlock& b) {
  float low[DP / 2] = {}, high[DP / 2] = {};  // features 0 to 63, 64 to 127
  // Columns 0 and 1 add up to r; column 0 begins with what comes from later
  // segments.
  float norm_low[4] = {}, norm_high[4] = {};
  const int column = ThreadColumn();
  const Border border(scratch, b.segment, b.slot, /*suffix=*/true);
  AddBorder<DP>(scratch.suffixes, border, a.H, b.head, 0, low, norm_low);
  AddBorder<DP>(scratch.suffixes, border, a.H, b.head, 1, high, norm_high);
#pragma unroll
  for (int x = 0; x < 4; ++x) {
    if (column != 0 || x % 2 != 0) norm_low[x] = norm_high[x] = 0;
  }
  const uint32_t tile = SharedAddress(shared.suffix);
  const uint32_t phi = SharedAddress(shared.phi_q);
  const KMajor deltas{SharedAddress(shared.deltas), kDeltaPanel};
#pragma unroll 1
  for (int i = 0; i < b.count; ++i) {
    if (i > 0) shared.suffix_empty.Wait(i - 1);
    StoreState<DP>(tile, 0, low);
    StoreState<DP>(tile, 1, high);
    if (column == 0) {
      const int f = ThreadRow();
      shared.norm[f] = norm_low[0] + norm_low[1];
      shared.norm[f + 8] = norm_low[2] + norm_low[3];
      shared.norm[64 + f] = norm_high[0] + norm_high[1];
      shared.norm[64 + f + 8] = norm_high[2] + norm_high[3];
    }
    FenceShared();
    shared.suffix_full.Arrive();
    if (i + 1 == b.count) break;
    const int stage = i % kRowStages;
    shared.phi_full.Wait(i);
    shared.dy_full[stage].Wait(i / kRowStages);
    const MnMajor dy{SharedAddress(shared.dy[stage]), kPanel};
    Pin(low);
    Pin(high);
    Pin(norm_low);
    Pin(norm_high);
    WgmmaFence();
    Multiply<kTile>(low, MnMajor{phi, kPanel}, dy, true);
    Multiply<kTile>(high, MnMajor{phi + kPanel, kPanel}, dy, true);
    Multiply<kTile>(norm_low, MnMajor{phi, kPanel}, deltas, true);
    Multiply<kTile>(norm_high, MnMajor{phi + kPanel, kPanel}, deltas, true);
    WgmmaCommit();
    WgmmaWait();
    Pin(low);
    Pin(high);
    Pin(norm_low);
    Pin(norm_high);
    ArriveWarp(shared.phi_empty);
    ArriveWarp(shared.dy_empty[stage]);
  }
}

template <int DP>
__device__ __forceinline__ void LinearJob(Shared<DP>& shared, const Args& a,
                                          const HopperScratch& scratch,
                                          const PairMaps& maps,
                                          const PairBlock& b,
                                          const Jobs& jobs) {
  const bool leads = threadIdx.x % kGroup == 0;
  const int member = threadIdx.x % kGroup;
  const int row = ThreadRow(), column = ThreadColumn();
  const float alpha = Alpha(a, Gamma(a, b.head));
  const KMajor values{SharedAddress(shared.v), kPanel};
  const uint32_t phi_q = SharedAddress(shared.phi_q);
  uint32_t bits = 0;  // of the linear terms
#pragma unroll 1
  for (int i = 0; i < b.count; ++i) {
    const int tile = KeyTile(b, i), stage = i % kRowStages;
    const int n0 = RowTile(b, i) * kTile;
    const int rows = min(b.segment.length - n0, kTile);  // may be 0 or less
    const int64_t from = b.head * a.rows + b.segment.begin + n0;
    if (i == 0 || tile == 0) {
      bits = TermBits::OfKeys(a, b.terms, tile * kTile, n0).linear;
    }

    // Features of the later rows.
    {
      const float f0 = row < rows ? alpha * scratch.inv_den[from + row] : 0;
      const float f1 =
          row + 8 < rows ? alpha * scratch.inv_den[from + row + 8] : 0;
      const float delta =
          member < rows && member < kTile ? scratch.delta[from + member] : 0;
      float z[32], up[32], down[32];
      shared.q_full[stage].Wait(i / kRowStages);
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
      if (i > 0) shared.phi_empty.Wait(i - 1);
      StorePanel(phi_q, up);
      StorePanel(phi_q + kPanel, down);
      if (member < kTile) {
        shared.delta[member] = delta;
        const bf16 high = __float2bfloat16(delta);
        *reinterpret_cast<bf16*>(shared.deltas +
                                 TileOffset(kDeltaPanel, 0, member)) = high;
        *reinterpret_cast<bf16*>(shared.deltas +
                                 TileOffset(kDeltaPanel, 1, member)) =
            __float2bfloat16(delta - __bfloat162float(high));
      }
      FenceShared();
      shared.phi_full.Arrive();
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
      if (jobs.softmax) {
        if (i > 0) shared.linear_empty.Wait(i - 1);
        StorePanel(SharedAddress(shared.phi_k), up);
        StorePanel(SharedAddress(shared.phi_k) + kPanel, down);
      }
      ToOperand(up, reinterpret_cast<uint32_t(&)[4][4]>(phi_k[0]));
      ToOperand(down, reinterpret_cast<uint32_t(&)[4][4]>(phi_k[4]));
      Pin(phi_k);
    }

    // The later rows' linear weights, and g = dp - delta of these (alpha / den
    // is in phi_q already).
    shared.phi_full.Wait(i);
    if (jobs.softmax) {
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
    shared.dy_full[stage].Wait(i / kRowStages);
    {
      float dp[32];
      Pin(dp);
      WgmmaFence();
      Multiply<DP>(dp, values, KMajor{SharedAddress(shared.dy[stage]), kPanel},
                   false);
      WgmmaCommit();
      WgmmaWait();
      Pin(dp);
      ArriveWarp(shared.dy_empty[stage]);
#pragma unroll
      for (int x = 0; x < 32; ++x) {
        dp[x] = Has(bits, x) ? dp[x] - shared.delta[x / 4 * 8 + column + x % 2]
                             : 0.0f;
      }
      ToOperand(dp, g);
      Pin(g);
    }

    float dphi[kOutputs / 2];
    shared.suffix_full.Wait(i);
    Pin(dphi);
    WgmmaFence();
    Multiply<DP>(dphi, values,
                 KMajor{SharedAddress(shared.suffix), kOutputs * 128}, false);
    WgmmaCommit();
    WgmmaWait();
    Pin(dphi);
    ArriveWarp(shared.v_empty);
#pragma unroll
    for (int x = 0; x < kOutputs / 2; x += 2) {
      const float2 norm =
          *reinterpret_cast<const float2*>(shared.norm + x / 4 * 8 + column);
      dphi[x] -= norm.x;
      dphi[x + 1] -= norm.y;
    }
    shared.suffix_empty.Arrive();
    Pin(dphi);
    WgmmaFence();
    Multiply<kTile>(dphi, g, MnMajor{phi_q, kPanel}, true);
    WgmmaCommit();
    WgmmaWait();
    Pin(dphi);
    shared.phi_empty.Arrive();

    float dz[32], unused[2];
    ThroughFeatures(phi_k, dphi, unused, dz);
    if (jobs.softmax) {
      StorePanel(SharedAddress(shared.dz), dz);
      FenceShared();
      shared.linear_full.Arrive();
    }
    if (a.dweight_k != nullptr) {
      const HeadRows<bf16> out{
          scratch.dz_k, static_cast<int64_t>(a.H) * kFeatures, kFeatures};
      StoreRows(out, b.segment.begin + tile * kTile,
                min(b.segment.length - tile * kTile, kTile), b.head, kFeatures,
                0, dz);
    }
    if (leads) {
      FetchKeys(shared, maps, b, i + 1);
      if (!jobs.softmax) FetchRows(shared, maps, b, i + 2);
    }
    __syncwarp();
  }
}

}  // namespace keys

}  // namespace caracal::kernels::cuda

#endif  // CARACAL_KERNELS_HYBRID_ATTENTION_HYBRID_ATTENTION_CUDA_PAIR_KEYS_LINEAR_H_
