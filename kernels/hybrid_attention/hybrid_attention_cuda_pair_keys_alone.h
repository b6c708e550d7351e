// Backward by keys of rows that are LinearAlone: the warpgroup with dk and dv.
// Included only by hybrid_attention_cuda_hopper_pair_keys.cu.
#ifndef CARACAL_KERNELS_HYBRID_ATTENTION_HYBRID_ATTENTION_CUDA_PAIR_KEYS_ALONE_H_
#define CARACAL_KERNELS_HYBRID_ATTENTION_HYBRID_ATTENTION_CUDA_PAIR_KEYS_ALONE_H_

#include "kernels/hybrid_attention/hybrid_attention_cuda_pair_keys.h"

namespace caracal::kernels::cuda {

namespace keys {

template <int DP>
__device__ __forceinline__ void LinearAloneJob(Shared<DP>& shared,
                                               const Args& a,
                                               const HopperScratch& scratch,
                                               const PairBlock& b) {
  const bool asked = a.dk.data != nullptr || a.dv.data != nullptr;
  ArriveWarp(shared.dy_empty[0]);  // the first later rows are not needed
#pragma unroll 1
  for (int i = 0; i < b.count; ++i) {
    const int own = (i + 1) % kRowStages;
    shared.dy_full[own].Wait((i + 1) / kRowStages);
    shared.suffix_full[0].Wait(i);
    shared.linear_full.Wait(i);
    if (!asked) {
      ArriveWarp(shared.dy_empty[own]);
      ArriveWarp(shared.suffix_empty);
      ArriveWarp(shared.linear_empty);
      continue;
    }
#pragma unroll 1
    for (int half = 0; half < DP / 64; ++half) {
      float dv[32], dk[32];
      Pin(dv);
      Pin(dk);
      WgmmaFence();
      Multiply<kTile>(
          dv, KMajor{SharedAddress(shared.linear), kPanel},
          MnMajor{SharedAddress(shared.dy[own]) + half * kPanel, kPanel},
          false);
      Multiply<kOutputs>(
          dv, KMajor{SharedAddress(shared.phi_k), kPanel},
          MnMajor{SharedAddress(shared.suffix) + half * kOutputs * 128,
                  kOutputs * 128},
          true);
      Multiply<kFeatures>(
          dk, KMajor{SharedAddress(shared.dz), kPanel},
          KMajor{SharedAddress(shared.weight_k) + half * 64 * 128,
                 kWeightBytes<DP>},
          false);
      WgmmaCommit();
      WgmmaWait();
      Pin(dv);
      Pin(dk);
      if (half + 1 == DP / 64) {
        ArriveWarp(shared.dy_empty[own]);
        ArriveWarp(shared.suffix_empty);
        ArriveWarp(shared.linear_empty);
      }
      if (a.dv.data != nullptr) {
        StoreKeyRows(a, b, i, a.dv, scratch.dv, half * 64, dv);
      }
      if (a.dk.data != nullptr) {
        StoreKeyRows(a, b, i, a.dk, scratch.dk, half * 64, dk);
      }
    }
  }
}

}  // namespace keys

}  // namespace caracal::kernels::cuda

#endif  // CARACAL_KERNELS_HYBRID_ATTENTION_HYBRID_ATTENTION_CUDA_PAIR_KEYS_ALONE_H_
