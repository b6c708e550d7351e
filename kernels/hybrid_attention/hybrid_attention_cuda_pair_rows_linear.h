// Backward by rows that are OneKeyPair: the warpgroup with the linear terms.
// Included only by hybrid_attention_cuda_hopper_pair_rows.cu.
#ifndef CARACAL_KERNELS_HYBRID_ATTENTION_HYBRID_ATTENTION_CUDA_PAIR_ROWS_LINEAR_H_
#define CARACAL_KERNELS_HYBRID_ATTENTION_HYBRID_ATTENTION_CUDA_PAIR_ROWS_LINEAR_H_

#include "kernels/hybrid_attention/hybrid_attention_cuda_pair_rows.h"

namespace caracal::kernels::cuda {

namespace rows {

// z of 64 rows, then their features, to registers or shared memory.
template <int DP>
__device__ __forceinline__ void MultiplyByWeights(float (&z)[32], uint32_t rows,
                                                  uint32_t weight) {
  Pin(z);
  WgmmaFence();
  Multiply<DP>(z, KMajor{rows, kPanel}, MnMajor{weight, kWeightBytes<DP>},
               false);
  WgmmaCommit();
}

// Features of tile `number` of the keys.
template <int DP>
__device__ __forceinline__ void MakeKeyFeatures(Shared<DP>& shared,
                                                const Args& a,
                                                const PairBlock& b,
                                                int number) {
  const int stage = number % kStages;
  shared.k_full[stage].Wait(number / kStages);
  float z[32], up[32], down[32];
  MultiplyByWeights<DP>(z, SharedAddress(shared.k[stage]),
                        SharedAddress(shared.weight_k));
  WgmmaWait();
  Pin(z);
  ArriveWarp(shared.k_empty[stage]);
  const int row = (b.first_tile + number - 1) * kTile + ThreadRow();
  Hedgehog<true>(z, a.F, KeyFactor(a, b.terms, row),
                 KeyFactor(a, b.terms, row + 8), up, down);
  if (number > 0) shared.phi_empty[0].Wait(number - 1);
  const uint32_t to = SharedAddress(shared.phi_k[0]);
  StorePanel(to, up);
  StorePanel(to + kPanel, down);
  FenceShared();
  shared.phi_full[0].Arrive();
}

// kOwn: PairBlock's `own`.
template <bool kOwn, int DP>
__device__ __forceinline__ void LinearJob(Shared<DP>& shared, const Args& a,
                                          const HopperScratch& scratch,
                                          const PairMaps& maps,
                                          const PairBlock& b,
                                          const Jobs& jobs) {
  const bool leads = threadIdx.x % kGroup == 0;
  const int column = ThreadColumn();
  const float gamma = Gamma(a, b.head), alpha = Alpha(a, gamma);
  const KMajor dy{SharedAddress(shared.dy), kPanel};
  const uint32_t phi_k = SharedAddress(shared.phi_k[0]);
  float sum = 0;
  PairBits bits;
  constexpr int kAhead = kOwn ? 1 : 0;
#pragma unroll 1
  for (int number = 0; number <= kAhead; ++number) {
    if (number > 0) {
      // The first previous tile only enters the state.
      ArriveWarp(shared.phi_empty[0]);
      ArriveWarp(shared.v_empty[0]);
    }
    MakeKeyFeatures(shared, a, b, number);
  }
#pragma unroll 1
  for (int i = 0; i < b.count; ++i) {
    const int number = i + kAhead, stage = number % kStages;  // of the keys
    const RowScales rows(a, scratch, b, i);
    bits.Make(a, b.terms, b.first_tile + i);
    shared.q_full.Wait(i);
    uint32_t phi_q[8][4];
    {
      float z[32], up[32], down[32];
      MultiplyByWeights<DP>(z, SharedAddress(shared.q),
                            SharedAddress(shared.weight_q));
      WgmmaWait();
      Pin(z);
      ArriveWarp(shared.q_empty);
      Hedgehog<true>(z, a.F, 1, 1, up, down);
      ToOperand(up, reinterpret_cast<uint32_t(&)[4][4]>(phi_q[0]));
      ToOperand(down, reinterpret_cast<uint32_t(&)[4][4]>(phi_q[4]));
      Pin(phi_q);
    }

    // g of the tile's keys.
    const uint32_t linear = kOwn ? bits.own.linear : bits.previous.linear;
    const float w[2] = {alpha * rows.inv[0], alpha * rows.inv[1]};
    uint32_t g[4][4];
    shared.dy_full.Wait(i);
    shared.v_full[stage].Wait(number / kStages);
    {
      float dp[32];
      Pin(dp);
      WgmmaFence();
      Multiply<DP>(dp, dy, KMajor{SharedAddress(shared.v[stage]), kPanel},
                   false);
      WgmmaCommit();
      WgmmaWait();
      Pin(dp);
      ArriveWarp(shared.v_empty[stage]);
#pragma unroll
      for (int x = 0; x < 32; ++x) {
        const int r = x % 4 / 2;
        dp[x] = Has(linear, x) ? w[r] * (dp[x] - rows.delta[r]) : 0.0f;
      }
      ToOperand(dp, g);
      Pin(g);
    }

    // The state's part; then the tile's.
    float dphi[kOutputs / 2];
    shared.state_full[0].Wait(i);
    Pin(dphi);
    WgmmaFence();
    Multiply<DP>(dphi, dy, KMajor{SharedAddress(shared.state), kOutputs * 128},
                 false);
    WgmmaCommit();
    WgmmaWait();
    Pin(dphi);
    ArriveWarp(shared.dy_empty);
#pragma unroll
    for (int x = 0; x < kOutputs / 2; x += 2) {
      const int r = x % 4 / 2;
      const float2 norm =
          *reinterpret_cast<const float2*>(shared.norm + x / 4 * 8 + column);
      dphi[x] = w[r] * (dphi[x] - rows.delta[r] * norm.x);
      dphi[x + 1] = w[r] * (dphi[x + 1] - rows.delta[r] * norm.y);
    }
    shared.state_empty.Arrive();
    shared.phi_full[0].Wait(number);
    Pin(dphi);
    WgmmaFence();
    Multiply<kTile>(dphi, g, MnMajor{phi_k, kPanel}, true);
    WgmmaCommit();
    WgmmaWait();
    Pin(dphi);
    ArriveWarp(shared.phi_empty[0]);

    float dz[32], dots[2];
    ThroughFeatures(phi_q, dphi, dots, dz);
    sum += dots[0] + dots[1];
    if (a.dq.data != nullptr) {
      if (i > 0) shared.dz_empty.Wait(i - 1);
      StorePanel(SharedAddress(shared.dz), dz);
      FenceShared();
      shared.dz_full.Arrive();
    }
    if (a.dweight_q != nullptr) {
      const HeadRows<bf16> out{
          scratch.dz_q, static_cast<int64_t>(a.H) * kFeatures, kFeatures};
      StoreRows(out, b.segment.begin + b.Row(i), b.Rows(i), b.head, kFeatures,
                0, dz);
    }
    if (leads) {
      FetchRows(shared, maps, b, i);
      if (!jobs.softmax) {
        FetchKeys(shared, maps, b, i);
        FetchValues(shared, maps, b, i);
      }
    }
    __syncwarp();
    if (i + 1 < b.count) MakeKeyFeatures(shared, a, b, number + 1);
  }
  // Each row's dot is with its four threads.
  if (column != 0) sum = 0;
  sum = WarpSum(sum);
  if (threadIdx.x % 32 == 0) {
    shared.factors[threadIdx.x % kGroup / 32] =
        -sum * (a.affine ? 1.0f : 1.0f - gamma);
  }
}

}  // namespace rows

}  // namespace caracal::kernels::cuda

#endif  // CARACAL_KERNELS_HYBRID_ATTENTION_HYBRID_ATTENTION_CUDA_PAIR_ROWS_LINEAR_H_
