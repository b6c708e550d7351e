// Backward by keys of rows that are OneKeyPair: the warpgroup with the softmax
// terms, dk and dv. Included only by hybrid_attention_cuda_hopper_pair_keys.cu.
#ifndef CARACAL_KERNELS_HYBRID_ATTENTION_HYBRID_ATTENTION_CUDA_PAIR_KEYS_SOFTMAX_H_
#define CARACAL_KERNELS_HYBRID_ATTENTION_HYBRID_ATTENTION_CUDA_PAIR_KEYS_SOFTMAX_H_

#include "kernels/hybrid_attention/hybrid_attention_cuda_pair_keys.h"

namespace caracal::kernels::cuda {

namespace keys {

// s [keys, rows] becomes p, dp becomes ds; then both operands, ds times `root`.
__device__ __forceinline__ void Weigh(float (&s)[32], float (&dp)[32],
                                      const RowTerms& rows, uint32_t bits,
                                      int key, float scale, float root,
                                      uint32_t (&p)[4][4],
                                      uint32_t (&ds)[4][4]) {
  const int column = ThreadColumn();
#pragma unroll
  for (int i = 0; i < 32; i += 2) {
    const int at = i / 4 * 8 + column, j = key + i % 4 / 2 * 8;
    const float2 shift = *reinterpret_cast<const float2*>(rows.shift + at);
    const float2 delta = *reinterpret_cast<const float2*>(rows.delta + at);
    const float2 dmax = *reinterpret_cast<const float2*>(rows.dmax + at);
    const int2 argmax = *reinterpret_cast<const int2*>(rows.argmax + at);
    s[i] = Has(bits, i) ? Exp2(fmaf(s[i], scale, -shift.x)) : 0.0f;
    s[i + 1] = Has(bits, i + 1) ? Exp2(fmaf(s[i + 1], scale, -shift.y)) : 0.0f;
    dp[i] = s[i] * (dp[i] - delta.x);
    dp[i + 1] = s[i + 1] * (dp[i + 1] - delta.y);
    if (argmax.x == j) dp[i] += dmax.x;
    if (argmax.y == j) dp[i + 1] += dmax.y;
    dp[i] *= root;
    dp[i + 1] *= root;
  }
  ToOperand(s, p);
  ToOperand(dp, ds);
  Pin(p);
  Pin(ds);
}

template <int DP>
__device__ __forceinline__ void SoftmaxJob(Shared<DP>& shared, const Args& a,
                                           const HopperScratch& scratch,
                                           const PairMaps& maps,
                                           const PairBlock& b) {
  const bool leads = threadIdx.x % kGroup == 0;
  const int member = threadIdx.x % kGroup, row = ThreadRow();
  const float log_gamma = log2f(Gamma(a, b.head));
  const float root = rsqrtf(static_cast<float>(a.D)), scale = root * kLog2e;
  const KMajor keys{SharedAddress(shared.k), kPanel};
  const KMajor values{SharedAddress(shared.v), kPanel};
  // What is needed of rows `number`: this thread's row, fetched well before it
  // is put down. Nothing beyond the sequence.
  float row_max = 0, inv_den = 0, delta = 0, dmax = 0;
  int argmax = -1;
  const auto fetch = [&](int number) {
    const int n = RowTile(b, number) * kTile + member;
    const bool valid =
        member < kTile && number <= b.count && n < b.segment.length;
    const int64_t from = b.head * a.rows + b.segment.begin + n;
    row_max = valid ? scratch.row_max[from] : 0;
    inv_den = valid ? scratch.inv_den[from] : 0;
    delta = valid ? scratch.delta[from] : 0;
    dmax = valid ? scratch.dmax[from] : 0;
    argmax = valid ? scratch.argmax[from] : -1;
  };
  const auto put = [&](int number) {
    if (member >= kTile) return;
    RowTerms& rows = shared.rows[number % kRowStages];
    rows.shift[member] = row_max - log_gamma - log2f(inv_den);
    rows.delta[member] = delta;
    rows.dmax[member] = dmax;
    rows.argmax[member] = argmax;
  };
  fetch(0);
  put(0);
  fetch(1);
  uint32_t own_bits = 0, later_bits = 0;
#pragma unroll 1
  for (int i = 0; i < b.count; ++i) {
    const int tile = KeyTile(b, i);
    const int later = i % kRowStages, own = (i + 1) % kRowStages;
    if (i == 0 || tile == 0) {
      const int j0 = tile * kTile;
      own_bits = TermBits::OfKeys(a, b.terms, j0, j0).softmax;
      later_bits = TermBits::OfKeys(a, b.terms, j0, j0 + kTile).softmax;
    }
    SyncWarpgroup(kSoftmaxGroup);  // the rows before are not read any more
    put(i + 1);
    SyncWarpgroup(kSoftmaxGroup);

    uint32_t p[2][4][4], ds[2][4][4];  // of the later rows, of the own
    shared.k_full.Wait(i);
    shared.v_full.Wait(i);
#pragma unroll
    for (int x = 0; x < 2; ++x) {
      const int stage = x == 0 ? later : own;
      shared.q_full[stage].Wait((i + x) / kRowStages);
      shared.dy_full[stage].Wait((i + x) / kRowStages);
      float s[32], dp[32];
      Pin(s);
      Pin(dp);
      WgmmaFence();
      Multiply<DP>(s, keys, KMajor{SharedAddress(shared.q[stage]), kPanel},
                   false);
      Multiply<DP>(dp, values, KMajor{SharedAddress(shared.dy[stage]), kPanel},
                   false);
      WgmmaCommit();
      WgmmaWait();
      Pin(s);
      Pin(dp);
      Weigh(s, dp, shared.rows[stage], x == 0 ? later_bits : own_bits,
            tile * kTile + row, scale, root, p[x], ds[x]);
    }
    ArriveWarp(shared.k_empty);
    ArriveWarp(shared.v_empty);
    if (leads && !b.linear) FetchKeys(shared, maps, b, i + 1);
    __syncwarp();

    fetch(i + 2);

    // Without linear terms some operands are zero: no product has to be left
    // out.
    if (b.linear) {
      shared.suffix_full[0].Wait(i);
      shared.linear_full.Wait(i);
    }
#pragma unroll 1
    for (int half = 0; half < DP / 64; ++half) {
      const int panel = half * kPanel;
      if (a.dv.data != nullptr) {
        float dv[32];
        const MnMajor dy_later{SharedAddress(shared.dy[later]) + panel, kPanel};
        const MnMajor dy_own{SharedAddress(shared.dy[own]) + panel, kPanel};
        Pin(dv);
        WgmmaFence();
        Multiply<kTile>(dv, p[0], dy_later, false);
        Multiply<kTile>(dv, p[1], dy_own, true);
        Multiply<kTile>(dv, KMajor{SharedAddress(shared.linear), kPanel},
                        dy_later, true);
        Multiply<kOutputs>(
            dv, KMajor{SharedAddress(shared.phi_k), kPanel},
            MnMajor{SharedAddress(shared.suffix) + half * kOutputs * 128,
                    kOutputs * 128},
            true);
        WgmmaCommit();
        WgmmaWait();
        Pin(dv);
        StoreKeyRows(a, b, i, a.dv, scratch.dv, half * 64, dv);
      }
      if (a.dk.data != nullptr) {
        float dk[32];
        Pin(dk);
        WgmmaFence();
        Multiply<kTile>(dk, ds[0],
                        MnMajor{SharedAddress(shared.q[later]) + panel, kPanel},
                        false);
        Multiply<kTile>(dk, ds[1],
                        MnMajor{SharedAddress(shared.q[own]) + panel, kPanel},
                        true);
        Multiply<kFeatures>(
            dk, KMajor{SharedAddress(shared.dz), kPanel},
            KMajor{SharedAddress(shared.weight_k) + half * 64 * 128,
                   kWeightBytes<DP>},
            true);
        WgmmaCommit();
        WgmmaWait();
        Pin(dk);
        StoreKeyRows(a, b, i, a.dk, scratch.dk, half * 64, dk);
      }
    }
    ArriveWarp(shared.q_empty[later]);
    ArriveWarp(shared.dy_empty[later]);
    if (b.linear) {
      ArriveWarp(shared.suffix_empty);
      ArriveWarp(shared.linear_empty);
    }
    if (leads) FetchRows(shared, maps, b, i + 2);
    __syncwarp();
  }
}

}  // namespace keys

}  // namespace caracal::kernels::cuda

#endif  // CARACAL_KERNELS_HYBRID_ATTENTION_HYBRID_ATTENTION_CUDA_PAIR_KEYS_SOFTMAX_H_
