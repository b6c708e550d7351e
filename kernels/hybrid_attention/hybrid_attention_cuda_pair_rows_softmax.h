// Backward by rows that are OneKeyPair: the warpgroup with the softmax terms
// and dq. Included only by hybrid_attention_cuda_hopper_pair_rows.cu.
#ifndef CARACAL_KERNELS_HYBRID_ATTENTION_HYBRID_ATTENTION_CUDA_PAIR_ROWS_SOFTMAX_H_
#define CARACAL_KERNELS_HYBRID_ATTENTION_HYBRID_ATTENTION_CUDA_PAIR_ROWS_SOFTMAX_H_

#include "kernels/hybrid_attention/hybrid_attention_cuda_pair_rows.h"

namespace caracal::kernels::cuda {

namespace rows {

// Moves `first` to the first of this thread's columns that attains the maximum,
// if any; `position`: of the thread's first column.
template <int n>
__device__ __forceinline__ void FindMost(const float (&s)[n],
                                         const float (&most)[2], int position,
                                         int (&first)[2]) {
#pragma unroll
  for (int i = n - 1; i >= 0; --i) {
    const int r = i % 4 / 2;
    if (s[i] == most[r]) {
      first[r] = min(first[r], position + i / 4 * 8 + i % 2);
    }
  }
}

// p becomes ds = p (dp - delta); adds to the rows' sums.
template <int n>
__device__ __forceinline__ void WeightGradients(float (&p)[n],
                                                const float (&dp)[n],
                                                const float (&delta)[2],
                                                float (&sum)[2]) {
#pragma unroll
  for (int i = 0; i < n; ++i) p[i] *= dp[i] - delta[i % 4 / 2];
#pragma unroll
  for (int r = 0; r < 2; ++r) {
    sum[r] += SumOf<n / 2>([&](int i) { return p[OfRow(r, i)]; });
  }
  Pin(sum);
}

// The maximum's gradient joins; then the operand, times `root`.
template <int n>
__device__ __forceinline__ void FinishGradients(float (&ds)[n],
                                                const float (&dmax)[2],
                                                const int (&argmax)[2],
                                                int position, float root,
                                                uint32_t (&operand)[n / 8][4]) {
#pragma unroll
  for (int i = 0; i < n; ++i) {
    const int r = i % 4 / 2;
    if (argmax[r] - position == i / 4 * 8 + i % 2) ds[i] += dmax[r];
    ds[i] *= root;
  }
  ToOperand(ds, operand);
  Pin(operand);
}

template <int DP, bool kSinks>
__device__ __forceinline__ void SoftmaxJob(Shared<DP>& shared, const Args& a,
                                           const HopperScratch& scratch,
                                           const PairMaps& maps,
                                           const PairBlock& b,
                                           const Jobs& jobs) {
  const bool leads = threadIdx.x % kGroup == 0;
  const int row = ThreadRow(), column = ThreadColumn();
  const float log_gamma = log2f(Gamma(a, b.head));
  const float root = rsqrtf(static_cast<float>(a.D)), scale = root * kLog2e;
  const KMajor q{SharedAddress(shared.q), kPanel};
  const KMajor dy{SharedAddress(shared.dy), kPanel};
  PairBits bits;
  // The first previous tile has no rows of its own here.
  ArriveWarp(shared.k_empty[0]);
  ArriveWarp(shared.v_empty[0]);
#pragma unroll 1
  for (int i = 0; i < b.count; ++i) {
    const int tile = b.first_tile + i;
    const int own = (i + 1) % kStages, previous = i % kStages;
    const RowScales rows(a, scratch, b, i);
    float s_own[32], s_previous[32], s_sink[8];
    shared.q_full.Wait(i);
    shared.k_full[previous].Wait(i / kStages);
    shared.k_full[own].Wait((i + 1) / kStages);
    Pin(s_own);
    Pin(s_previous);
    Pin(s_sink);
    WgmmaFence();
    Multiply<DP>(s_own, q, KMajor{SharedAddress(shared.k[own]), kPanel}, false);
    Multiply<DP>(s_previous, q,
                 KMajor{SharedAddress(shared.k[previous]), kPanel}, false);
    if constexpr (kSinks) {
      Multiply<DP>(s_sink, q, KMajor{SharedAddress(shared.sink_k), kSinkPanel},
                   false);
    }
    WgmmaCommit();
    bits.Make(a, b.terms, tile);
    WgmmaWait();
    Pin(s_own);
    Pin(s_previous);
    Pin(s_sink);
    ArriveWarp(shared.q_empty);

    const int sinks = tile >= 2 ? a.sinks - column : 0;  // of this thread
    float most[2] = {-INFINITY, -INFINITY};
    MaskScores(
        s_own, [&](int x) { return Has(bits.own.set, x); }, most);
    MaskScores(
        s_previous, [&](int x) { return Has(bits.previous.set, x); }, most);
    if constexpr (kSinks) {
      MaskScores(
          s_sink, [&](int x) { return x / 4 * 8 + x % 2 < sinks; }, most);
    }
    most[0] = QuadMax(most[0]);
    most[1] = QuadMax(most[1]);
    int argmax[2] = {1 << 30, 1 << 30};
    FindMost(s_own, most, tile * kTile + column, argmax);
    FindMost(s_previous, most, (tile - 1) * kTile + column, argmax);
    if constexpr (kSinks) FindMost(s_sink, most, column, argmax);
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      argmax[r] = min(argmax[r], __shfl_xor_sync(~0u, argmax[r], 1));
      argmax[r] = min(argmax[r], __shfl_xor_sync(~0u, argmax[r], 2));
    }
    // p = gamma / den exp(s - c).
    const float top[2] = {most[0] * scale, most[1] * scale};
    const float shift[2] = {top[0] - log_gamma - log2f(rows.inv[0]),
                            top[1] - log_gamma - log2f(rows.inv[1])};
    float unused[2] = {0, 0}, sum[2] = {0, 0};
    Exponentials(
        s_own, scale, shift, bits.own.softmax == bits.own.set,
        [&](int x) { return Has(bits.own.softmax, x); }, unused);
    Exponentials(
        s_previous, scale, shift, bits.previous.softmax == bits.previous.set,
        [&](int x) { return Has(bits.previous.softmax, x); }, unused);
    if constexpr (kSinks) {
      Exponentials(
          s_sink, scale, shift, b.terms & kFarSinkTerms,
          [](int) { return false; }, unused);
    }

    // ds, a tile at a time.
    shared.dy_full.Wait(i);
    shared.v_full[previous].Wait(i / kStages);
    shared.v_full[own].Wait((i + 1) / kStages);
    float dp[32], dp_sink[8];
    Pin(dp);
    Pin(dp_sink);
    WgmmaFence();
    Multiply<DP>(dp, dy, KMajor{SharedAddress(shared.v[own]), kPanel}, false);
    if constexpr (kSinks) {
      Multiply<DP>(dp_sink, dy,
                   KMajor{SharedAddress(shared.sink_v), kSinkPanel}, false);
    }
    WgmmaCommit();
    WgmmaWait();
    Pin(dp);
    Pin(dp_sink);
    WeightGradients(s_own, dp, rows.delta, sum);
    if constexpr (kSinks) WeightGradients(s_sink, dp_sink, rows.delta, sum);
    Pin(dp);
    WgmmaFence();
    Multiply<DP>(dp, dy, KMajor{SharedAddress(shared.v[previous]), kPanel},
                 false);
    WgmmaCommit();
    WgmmaWait();
    Pin(dp);
    ArriveWarp(shared.dy_empty);
    ArriveWarp(shared.v_empty[previous]);
    ArriveWarp(shared.v_empty[own]);
    WeightGradients(s_previous, dp, rows.delta, sum);
    const float dmax[2] = {-QuadSum(sum[0]), -QuadSum(sum[1])};
    uint32_t ds_own[4][4], ds_previous[4][4], ds_sink[1][4];
    FinishGradients(s_own, dmax, argmax, tile * kTile + column, root, ds_own);
    FinishGradients(s_previous, dmax, argmax, (tile - 1) * kTile + column, root,
                    ds_previous);
    if constexpr (kSinks) {
      // Where these keys are in one of the tiles, they count there.
      const int position = tile >= 2 ? column : 1 << 29;
      FinishGradients(s_sink, dmax, argmax, position, root, ds_sink);
    }
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      if (column != 0 || row + 8 * r >= b.Rows(i)) continue;
      const int64_t to =
          b.head * a.rows + b.segment.begin + b.Row(i) + row + 8 * r;
      scratch.row_max[to] = top[r];
      scratch.dmax[to] = dmax[r];
      scratch.argmax[to] = argmax[r];
    }
    if (leads) {
      if (!jobs.linear) FetchRows(shared, maps, b, i);
      FetchValues(shared, maps, b, i);
    }
    __syncwarp();

    if (a.dq.data != nullptr) {
      if (jobs.linear) shared.dz_full.Wait(i);
#pragma unroll 1
      for (int half = 0; half < DP / 64; ++half) {
        const int panel = half * kPanel;
        float dq[32];
        Pin(dq);
        WgmmaFence();
        // Without linear terms dz is zero: no product has to be left out.
        Multiply<kFeatures>(
            dq, KMajor{SharedAddress(shared.dz), kPanel},
            KMajor{SharedAddress(shared.weight_q) + half * 64 * 128,
                   kWeightBytes<DP>},
            false);
        Multiply<kTile>(dq, ds_own,
                        MnMajor{SharedAddress(shared.k[own]) + panel, kPanel},
                        true);
        Multiply<kTile>(
            dq, ds_previous,
            MnMajor{SharedAddress(shared.k[previous]) + panel, kPanel}, true);
        if constexpr (kSinks) {
          Multiply<kPairSinks>(
              dq, ds_sink,
              MnMajor{SharedAddress(shared.sink_k) + half * kSinkPanel,
                      kSinkPanel},
              true);
        }
        WgmmaCommit();
        WgmmaWait();
        Pin(dq);
        StoreRows(a.dq, b.segment.begin + b.Row(i), b.Rows(i), b.head, a.D,
                  half * 64, dq);
      }
      if (jobs.linear) ArriveWarp(shared.dz_empty);
    }
    ArriveWarp(shared.k_empty[previous]);
    ArriveWarp(shared.k_empty[own]);
    if (leads) FetchKeys(shared, maps, b, i);
    __syncwarp();
  }
}

}  // namespace rows

}  // namespace caracal::kernels::cuda

#endif  // CARACAL_KERNELS_HYBRID_ATTENTION_HYBRID_ATTENTION_CUDA_PAIR_ROWS_SOFTMAX_H_
