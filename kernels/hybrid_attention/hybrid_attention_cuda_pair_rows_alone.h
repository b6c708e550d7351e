// Backward by rows that are LinearAlone: the warpgroup with dq. Included only
// by hybrid_attention_cuda_hopper_pair_rows.cu.
#ifndef CARACAL_KERNELS_HYBRID_ATTENTION_HYBRID_ATTENTION_CUDA_PAIR_ROWS_ALONE_H_
#define CARACAL_KERNELS_HYBRID_ATTENTION_HYBRID_ATTENTION_CUDA_PAIR_ROWS_ALONE_H_

#include "kernels/hybrid_attention/hybrid_attention_cuda_pair_rows.h"

namespace caracal::kernels::cuda {

namespace rows {

template <int DP>
__device__ __forceinline__ void LinearAloneJob(Shared<DP>& shared,
                                               const Args& a,
                                               const PairBlock& b) {
  if (a.dq.data == nullptr) return;
  const KMajor dz{SharedAddress(shared.dz), kPanel};
#pragma unroll 1
  for (int i = 0; i < b.count; ++i) {
    float dq[DP / 64][32];
    shared.dz_full.Wait(i);
#pragma unroll
    for (int half = 0; half < DP / 64; ++half) Pin(dq[half]);
    WgmmaFence();
#pragma unroll
    for (int half = 0; half < DP / 64; ++half) {
      Multiply<kFeatures>(
          dq[half], dz,
          KMajor{SharedAddress(shared.weight_q) + half * 64 * 128,
                 kWeightBytes<DP>},
          false);
    }
    WgmmaCommit();
    WgmmaWait();
#pragma unroll
    for (int half = 0; half < DP / 64; ++half) Pin(dq[half]);
    ArriveWarp(shared.dz_empty);
#pragma unroll
    for (int half = 0; half < DP / 64; ++half) {
      StoreRows(a.dq, b.segment.begin + b.Row(i), b.Rows(i), b.head, a.D,
                half * 64, dq[half]);
    }
  }
}

}  // namespace rows

}  // namespace caracal::kernels::cuda

#endif  // CARACAL_KERNELS_HYBRID_ATTENTION_HYBRID_ATTENTION_CUDA_PAIR_ROWS_ALONE_H_
