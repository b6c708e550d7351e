// Hopper version, backward by rows, for rows that are OneKeyPair: dq, the
// gradient of the queries' features as dz, and what the backward by keys needs
// of each row (c_n, its gradient and its key). Reads 1 / den and dy . y of the
// rows. Three warpgroups, a job each, on the same 64 rows:
//  0 keeps the state;
//  1 has the linear terms: with P = dy V^T, g = alpha / den (P - dy . y),
//        dphi_q = g phi_k + alpha / den (S dy - dy . y norm),
//    which goes through the feature map to dz;
//  2 has the softmax terms: ds = p (P - dy . y), and dq from ds and dz. It has
//    nothing to do if no gradient of rows is asked for.
// The gradients of c_n and w_h follow from the sums of weight gradients: those
// of a row's softmax terms and of its linear terms, sum p (P - dy . y), cancel,
// so that with A = phi_q . dphi_q
//     dc_n = A,    dw_h = sum_n -A (1 - gamma)   (affine: sum_n -A).
#include "kernels/common/cuda_check.h"
#include "kernels/hybrid_attention/hybrid_attention_cuda_hopper_kernels.h"
#include "kernels/hybrid_attention/hybrid_attention_cuda_pair.h"

namespace caracal::kernels::cuda {
namespace {

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
        softmax(a.dq.data != nullptr || a.dk.data != nullptr ||
                a.dv.data != nullptr) {}
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
  shared.state_empty.Init(kWarps);
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

template <int DP>
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
  MakeKeyFeatures(shared, a, b, 0);
#pragma unroll 1
  for (int i = 0; i < b.count; ++i) {
    const int previous = i % kStages;
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
    }

    // g of the previous tile's keys.
    const float w[2] = {alpha * rows.inv[0], alpha * rows.inv[1]};
    uint32_t g[4][4];
    shared.dy_full.Wait(i);
    shared.v_full[previous].Wait(i / kStages);
    {
      float dp[32];
      Pin(dp);
      WgmmaFence();
      Multiply<DP>(dp, dy, KMajor{SharedAddress(shared.v[previous]), kPanel},
                   false);
      WgmmaCommit();
      WgmmaWait();
      Pin(dp);
      ArriveWarp(shared.v_empty[previous]);
#pragma unroll
      for (int x = 0; x < 32; ++x) {
        const int r = x % 4 / 2;
        dp[x] = Has(bits.previous.linear, x) ? w[r] * (dp[x] - rows.delta[r])
                                             : 0.0f;
      }
      ToOperand(dp, g);
    }

    // The state's part; then the previous tile's.
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
    ArriveWarp(shared.state_empty);
    shared.phi_full[0].Wait(i);
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
    if (i + 1 < b.count) MakeKeyFeatures(shared, a, b, i + 1);
  }
  // Each row's dot is with its four threads.
  if (column != 0) sum = 0;
  sum = WarpSum(sum);
  if (threadIdx.x % 32 == 0) {
    shared.factors[threadIdx.x % kGroup / 32] =
        -sum * (a.affine ? 1.0f : 1.0f - gamma);
  }
}

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

template <int DP, bool kSinks>
__global__ void __launch_bounds__(kPairBlock, 1)
    BackwardRows(const __grid_constant__ Args a,
                 const __grid_constant__ HopperScratch scratch,
                 const __grid_constant__ PairMaps maps) {
  extern __shared__ __align__(1024) char memory[];
  Shared<DP>& shared = *reinterpret_cast<Shared<DP>*>(memory);
  const PairBlock b(a, scratch);
  if (!OneKeyPair(a, b.terms)) return;
  const Jobs jobs(a, b);
  if (!jobs.linear && threadIdx.x == 0) scratch.dfactor[blockIdx.x] = 0;
  if (!jobs.linear && !jobs.softmax) return;

  if (threadIdx.x == 0) {
    InitBarriers(shared, jobs);
    FetchTile<DP>(maps.q, b, b.head, 1, shared.q, shared.q_full);
    FetchTile<DP>(maps.dy, b, b.head, 1, shared.dy, shared.dy_full);
    for (int i = 0; i < min(b.count + 1, kStages); ++i) {
      FetchTile<DP>(maps.k, b, b.kv, i, shared.k[i], shared.k_full[i]);
      FetchTile<DP>(maps.v, b, b.kv, i, shared.v[i], shared.v_full[i]);
    }
  }
  FillOnes(shared.ones);
  if (kSinks) {
    LoadSinks<DP>(SharedAddress(shared.sink_k), a.k, b.segment.begin, a.sinks,
                  b.kv, a.D, kPairBlock);
    LoadSinks<DP>(SharedAddress(shared.sink_v), a.v, b.segment.begin, a.sinks,
                  b.kv, a.D, kPairBlock);
  }
  if (jobs.linear) {
    LoadWeight<DP>(SharedAddress(shared.weight_q), scratch.weight_q, b.head,
                   kPairBlock);
    LoadWeight<DP>(SharedAddress(shared.weight_k), scratch.weight_k, b.head,
                   kPairBlock);
  } else {
    Clear(shared.weight_q, kWeightBytes<DP>, kPairBlock);
    Clear(shared.dz, kPanel, kPairBlock);
  }
  CopyCommit();
  CopyWait();
  FenceShared();
  __syncthreads();

  const int group = Warpgroup();
  if (group == 0) {
    if (jobs.linear) KeepState<DP>(shared, scratch, a, b);
  } else if (group == 1) {
    if (jobs.linear) LinearJob(shared, a, scratch, maps, b, jobs);
  } else {
    if (jobs.softmax) {
      SoftmaxJob<DP, kSinks>(shared, a, scratch, maps, b, jobs);
    }
  }
  if (!jobs.linear) return;
  __syncthreads();
  if (threadIdx.x > 0) return;
  float sum = 0;
  for (float factor : shared.factors) sum += factor;
  scratch.dfactor[blockIdx.x] = sum;
}

template <int DP, bool kSinks>
void Launch(const Args& a, const HopperScratch& s, const PairMaps& maps,
            cudaStream_t stream) {
  constexpr auto kKernel = BackwardRows<DP, kSinks>;
  CARACAL_CUDA_CHECK(
      cudaFuncSetAttribute(kKernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                           sizeof(Shared<DP>)));
  kKernel<<<s.count * a.H, kPairBlock, sizeof(Shared<DP>), stream>>>(a, s,
                                                                     maps);
  CARACAL_CUDA_CHECK_LAUNCH();
}

}  // namespace

void HopperBackwardRowPairs(const Args& a, const HopperScratch& s,
                            const PairMaps& maps, cudaStream_t stream) {
  if (a.D <= 64) {
    a.sinks > 0 ? Launch<64, true>(a, s, maps, stream)
                : Launch<64, false>(a, s, maps, stream);
  } else {
    a.sinks > 0 ? Launch<128, true>(a, s, maps, stream)
                : Launch<128, false>(a, s, maps, stream);
  }
}

}  // namespace caracal::kernels::cuda
