// Forward of rows that are OnePair: what its warpgroups share, and features of
// the keys. Included only by its sources.
#ifndef CARACAL_KERNELS_HYBRID_ATTENTION_HYBRID_ATTENTION_CUDA_PAIR_FORWARD_H_
#define CARACAL_KERNELS_HYBRID_ATTENTION_HYBRID_ATTENTION_CUDA_PAIR_FORWARD_H_

#include "kernels/hybrid_attention/hybrid_attention_cuda_pair.h"

namespace caracal::kernels::cuda {

namespace forward {

// What the kernel leaves.
enum class Leaves {
  kOutput,      // y, and the statistics asked for
  kStatistics,  // of a backward: the rows' statistics; with a target also dy
  kTransfer,    // both, and the gradient of the queries' features as dz
};

template <int DP, Leaves kLeaves>
struct Shared {
  static constexpr bool kTransfer = kLeaves == Leaves::kTransfer;
  // Tiles of key features, of keys. In transfer a tile's features are needed
  // until its rows are done, when the others have long begun with theirs.
  static constexpr int kPhis = kTransfer ? 3 : 2;
  static constexpr int kKeyStages = kTransfer ? 2 : kStages;
  static constexpr int kTurns = 2;  // warpgroups that take rows in turn

  __device__ __forceinline__ void StoreNorms(const float (&low)[4],
                                             const float (&high)[4]) {
    StoreNormParts(norm, 0, low);
    StoreNormParts(norm, 1, high);
  }

  char weight_q[kWeightBytes<DP>];
  char weight_k[kWeightBytes<DP>];
  char q[kRowsBytes<DP>];
  char k[kKeyStages][kRowsBytes<DP>];
  char v[kStages][kRowsBytes<DP>];
  char phi_k[kPhis][kPhiBytes];
  char state[kStateBytes<DP>];
  // The last panel stays zero: products of 16 rows read 8 rows beyond the
  // norm's.
  char norm[kNormBytes + kNormPanel];
  char sink_k[kSinkBytes<DP>];
  char sink_v[kSinkBytes<DP>];
  char ones[kOnesBytes];
  float errors[kTurns * kWarps], factors[kTurns * kWarps];
  Barrier q_full[kTurns], q_empty;  // full: one for either's turns
  Barrier k_full[kKeyStages], k_empty[kKeyStages];
  Barrier v_full[kStages], v_empty[kStages];
  Barrier phi_full[kPhis], phi_empty[kPhis];
  Barrier state_full[kTurns], state_empty;  // full: as q_full
};

template <typename Shared>
__device__ __forceinline__ void InitBarriers(Shared& shared, bool linear) {
  shared.q_empty.Init(kWarps);
  // Two warpgroups of rows; the state's.
  for (int i = 0; i < shared.kKeyStages; ++i) {
    shared.k_full[i].Init(1);
    shared.k_empty[i].Init(2 * kWarps);
  }
  for (int i = 0; i < kStages; ++i) {
    shared.v_full[i].Init(1);
    shared.v_empty[i].Init((linear ? 3 : 2) * kWarps);
  }
  for (int i = 0; i < shared.kPhis; ++i) {
    shared.phi_full[i].Init(kGroup);
    shared.phi_empty[i].Init(2 * kWarps);
  }
  for (int turn = 0; turn < shared.kTurns; ++turn) {
    shared.q_full[turn].Init(1);
    shared.state_full[turn].Init(kGroup);
  }
  shared.state_empty.Init(kWarps);
  FenceBarriers();
}

// Features of a tile of keys from its z, to shared memory.
template <typename Shared>
__device__ __forceinline__ void StoreKeyFeatures(Shared& shared, const Args& a,
                                                 const PairBlock& b,
                                                 const float (&z)[32],
                                                 int number) {
  const int row = (b.first_tile + number - 1) * kTile + ThreadRow();
  float up[32], down[32];
  Hedgehog<true>(z, a.F, KeyFactor(a, b.terms, row),
                 KeyFactor(a, b.terms, row + 8), up, down);
  const int stage = number % shared.kPhis;
  if (number >= shared.kPhis) {
    shared.phi_empty[stage].Wait(number / shared.kPhis - 1);
  }
  const uint32_t to = SharedAddress(shared.phi_k[stage]);
  StorePanel(to, up);
  StorePanel(to + kPanel, down);
  FenceShared();
  shared.phi_full[stage].Arrive();
}

// The first row's previous tile: its features, for whom nobody else cares.
template <int DP, typename Shared>
__device__ __forceinline__ void MakeFirstFeatures(Shared& shared, const Args& a,
                                                  const PairBlock& b) {
  shared.k_full[0].Wait(0);
  shared.v_full[0].Wait(0);
  if (b.linear) {
    float z[32];
    Pin(z);
    WgmmaFence();
    Multiply<DP>(z, KMajor{SharedAddress(shared.k[0]), kPanel},
                 MnMajor{SharedAddress(shared.weight_k), kWeightBytes<DP>},
                 false);
    WgmmaCommit();
    WgmmaWait();
    Pin(z);
    StoreKeyFeatures(shared, a, b, z, 0);
  }
  ArriveWarp(shared.k_empty[0]);
  ArriveWarp(shared.v_empty[0]);
}

// Adds the linear terms of a tile of keys to its weights. A key has a linear or
// a softmax term, seldom both: mostly one summand is zero.
__device__ __forceinline__ void AddLinear(const uint32_t (&phi_q)[8][4],
                                          uint32_t phi_k, uint32_t bits,
                                          uint32_t (&weights)[4][4],
                                          float (&sum)[2]) {
  float l[32];
  Pin(l);
  WgmmaFence();
  Multiply<kOutputs>(l, phi_q, KMajor{phi_k, kPanel}, false);
  WgmmaCommit();
  WgmmaWait();
  Pin(l);
#pragma unroll
  for (int i = 0; i < 32; ++i) l[i] = Has(bits, i) ? l[i] : 0.0f;
#pragma unroll
  for (int r = 0; r < 2; ++r) {
    sum[r] += SumOf<16>([&](int i) { return l[OfRow(r, i)]; });
  }
  Pin(sum);
  uint32_t add[4][4];
  ToOperand(l, add);
#pragma unroll
  for (int i = 0; i < 16; ++i) {
    auto& to = reinterpret_cast<__nv_bfloat162&>(weights[i / 4][i % 4]);
    to = __hadd2(to, reinterpret_cast<__nv_bfloat162&>(add[i / 4][i % 4]));
  }
}

}  // namespace forward

}  // namespace caracal::kernels::cuda

#endif  // CARACAL_KERNELS_HYBRID_ATTENTION_HYBRID_ATTENTION_CUDA_PAIR_FORWARD_H_
