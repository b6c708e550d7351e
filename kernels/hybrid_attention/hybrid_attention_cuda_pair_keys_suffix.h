// Backward by keys of rows that are OneKeyPair: the warpgroup with the sums
// over later rows. Included only by hybrid_attention_cuda_hopper_pair_keys.cu.
#ifndef CARACAL_KERNELS_HYBRID_ATTENTION_HYBRID_ATTENTION_CUDA_PAIR_KEYS_SUFFIX_H_
#define CARACAL_KERNELS_HYBRID_ATTENTION_HYBRID_ATTENTION_CUDA_PAIR_KEYS_SUFFIX_H_

#include "kernels/hybrid_attention/hybrid_attention_cuda_pair_keys.h"

namespace caracal::kernels::cuda {

namespace keys {

// r as an operand, from features 64 half + ... of it, whose columns 0 and 1 add
// up to r.
__device__ __forceinline__ void StoreSuffixNorm(char* norm, int half,
                                                const float (&columns)[4]) {
  const int first = threadIdx.x % 32 & ~3;  // thread of the row
  float sums[4] = {};
#pragma unroll
  for (int x = 0; x < 4; x += 2) {
    sums[x] = __shfl_sync(~0u, columns[x] + columns[x + 1], first);
  }
  StoreNormParts(norm, half, sums);
}

// One warpgroup's whole job: sums over rows further on than the later tile;
// with kAhead 1 instead of 0, than the own one. Calls used(number) when these
// rows have been used.
template <int DP, int kAhead, typename Shared, typename Used>
__device__ __forceinline__ void SuffixJob(Shared& shared,
                                          const HopperScratch& scratch,
                                          const Args& a, const PairBlock& b,
                                          const Used& used) {
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
#pragma unroll 1
  for (int i = -kAhead;; ++i) {
    if (kAhead == 0 || i >= 0) {
      if (i > 0) shared.suffix_empty.Wait(i - 1);
      StoreState<DP>(tile, 0, low);
      StoreState<DP>(tile, 1, high);
      StoreSuffixNorm(shared.norm, 0, norm_low);
      StoreSuffixNorm(shared.norm, 1, norm_high);
      FenceShared();
      shared.suffix_full[i % shared.kTurns].Arrive();
    }
    if (i + 1 == b.count) break;
    const int number = i + kAhead;
    const int stage = number % kRowStages, at = number % shared.kPhis;
    const uint32_t phi = SharedAddress(shared.phi_q[at]);
    const KMajor deltas{SharedAddress(shared.deltas[at]), kDeltaPanel};
    shared.phi_full[at].Wait(number / shared.kPhis);
    shared.dy_full[stage].Wait(number / kRowStages);
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
    ArriveWarp(shared.phi_empty[at]);
    ArriveWarp(shared.dy_empty[stage]);
    used(number);
  }
}

}  // namespace keys

}  // namespace caracal::kernels::cuda

#endif  // CARACAL_KERNELS_HYBRID_ATTENTION_HYBRID_ATTENTION_CUDA_PAIR_KEYS_SUFFIX_H_
