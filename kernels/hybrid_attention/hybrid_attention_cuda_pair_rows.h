// Backward by rows that are OneKeyPair: what its warpgroups share, and which
// tiles they fetch when. Included only by its sources.
#ifndef CARACAL_KERNELS_HYBRID_ATTENTION_HYBRID_ATTENTION_CUDA_PAIR_ROWS_H_
#define CARACAL_KERNELS_HYBRID_ATTENTION_HYBRID_ATTENTION_CUDA_PAIR_ROWS_H_

#include "kernels/hybrid_attention/hybrid_attention_cuda_pair.h"

namespace caracal::kernels::cuda {

namespace rows {

template <int DP>
struct Shared {
  static constexpr int kPhis = 1;   // tiles of key features
  static constexpr int kTurns = 1;  // warpgroups that take a state in turn

  char weight_q[kWeightBytes<DP>];
  char weight_k[kWeightBytes<DP>];
  char q[kRowsBytes<DP>];
  char dy[kRowsBytes<DP>];
  char k[kStages][kRowsBytes<DP>];
  char v[kStages][kRowsBytes<DP>];
  char phi_k[kPhis][kPhiBytes];
  char state[kStateBytes<DP>];
  char dz[kPanel];
  char sink_k[kSinkBytes<DP>];
  char sink_v[kSinkBytes<DP>];
  char ones[kOnesBytes];
  float norm[kOutputs];
  float factors[kWarps];
  Barrier q_full, q_empty, dy_full, dy_empty, dz_full, dz_empty;
  Barrier k_full[kStages], k_empty[kStages];
  Barrier v_full[kStages], v_empty[kStages];
  Barrier phi_full[kPhis], phi_empty[kPhis];
  Barrier state_full[kTurns], state_empty;

  __device__ __forceinline__ void StoreNorms(const float (&low)[4],
                                             const float (&high)[4]) {
    StoreNorm(norm, 0, low);
    StoreNorm(norm, 1, high);
  }
};

// Who works, and who fetches what.
struct Jobs {
  bool linear, softmax;
  __device__ __forceinline__ Jobs(const Args& a, const PairBlock& b)
      : linear(b.linear),
        softmax(!b.own && (a.dq.data != nullptr || a.dk.data != nullptr ||
                           a.dv.data != nullptr)) {}
};

template <int DP>
__device__ __forceinline__ void InitBarriers(Shared<DP>& shared,
                                             const Jobs& jobs) {
  const int both = ((jobs.linear ? 1 : 0) + (jobs.softmax ? 1 : 0)) * kWarps;
  shared.q_full.Init(1);
  shared.q_empty.Init(both);
  shared.dy_full.Init(1);
  shared.dy_empty.Init(both);
  shared.dz_full.Init(kGroup);
  shared.dz_empty.Init(kWarps);
  for (int i = 0; i < kStages; ++i) {
    shared.k_full[i].Init(1);
    shared.v_full[i].Init(1);
    // The softmax terms use a tile twice: as the own and the previous one.
    shared.k_empty[i].Init((jobs.linear ? kWarps : 0) +
                           (jobs.softmax ? 2 * kWarps : 0));
    shared.v_empty[i].Init((jobs.linear ? 2 * kWarps : 0) +
                           (jobs.softmax ? 2 * kWarps : 0));
  }
  shared.phi_full[0].Init(kGroup);
  shared.phi_empty[0].Init(2 * kWarps);
  shared.state_full[0].Init(kGroup);
  shared.state_empty.Init(kGroup);  // readers of norm
  FenceBarriers();
}

// The next rows' q and dy, once the i-th are used; one thread.
template <int DP>
__device__ __forceinline__ void FetchRows(Shared<DP>& shared,
                                          const PairMaps& maps,
                                          const PairBlock& b, int i) {
  if (i + 1 == b.count) return;
  shared.q_empty.Wait(i);
  FetchTile<DP>(maps.q, b, b.head, i + 2, shared.q, shared.q_full);
  shared.dy_empty.Wait(i);
  FetchTile<DP>(maps.dy, b, b.head, i + 2, shared.dy, shared.dy_full);
}

// The keys, the values after the next, once tile i is used; one thread.
template <int DP>
__device__ __forceinline__ void FetchKeys(Shared<DP>& shared,
                                          const PairMaps& maps,
                                          const PairBlock& b, int i) {
  if (i + 2 >= b.count) return;
  const int stage = i % kStages;
  shared.k_empty[stage].Wait(i / kStages);
  FetchTile<DP>(maps.k, b, b.kv, i + 3, shared.k[stage], shared.k_full[stage]);
}
template <int DP>
__device__ __forceinline__ void FetchValues(Shared<DP>& shared,
                                            const PairMaps& maps,
                                            const PairBlock& b, int i) {
  if (i + 2 >= b.count) return;
  const int stage = i % kStages;
  shared.v_empty[stage].Wait(i / kStages);
  FetchTile<DP>(maps.v, b, b.kv, i + 3, shared.v[stage], shared.v_full[stage]);
}

// 1 / den and dy . y of this thread's rows; zeros beyond the sequence.
struct RowScales {
  float inv[2] = {0, 0}, delta[2] = {0, 0};
  __device__ __forceinline__ RowScales(const Args& a,
                                       const HopperScratch& scratch,
                                       const PairBlock& b, int i) {
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      const int at = ThreadRow() + 8 * r;
      if (at >= b.Rows(i)) continue;
      const int64_t from = b.head * a.rows + b.segment.begin + b.Row(i) + at;
      inv[r] = scratch.inv_den[from];
      delta[r] = scratch.delta[from];
    }
  }
};

}  // namespace rows

}  // namespace caracal::kernels::cuda

#endif  // CARACAL_KERNELS_HYBRID_ATTENTION_HYBRID_ATTENTION_CUDA_PAIR_ROWS_H_
