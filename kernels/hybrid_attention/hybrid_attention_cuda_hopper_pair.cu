// Hopper version, forward, for rows that look one by one only at their own and
// the previous tile of keys (OnePair), and at a few far sinks. Warpgroup 0
// keeps the state; the other two take 64 rows in turn, each its rows' whole
// softmax and linear terms, and make the features of their own tile's keys for
// the next rows and the state.
//
// In a backward (scratch.delta set) it makes the rows' statistics instead of y:
// from a target dy as well, otherwise for the dy given.
#include "kernels/common/cuda_check.h"
#include "kernels/hybrid_attention/hybrid_attention_cuda_hopper_kernels.h"
#include "kernels/hybrid_attention/hybrid_attention_cuda_output.h"
#include "kernels/hybrid_attention/hybrid_attention_cuda_pair.h"

namespace caracal::kernels::cuda {
namespace {

template <int DP>
struct Shared {
  static constexpr int kPhis = 2;   // tiles of key features
  static constexpr int kTurns = 2;  // warpgroups that take rows in turn

  __device__ __forceinline__ void StoreNorms(const float (&low)[4],
                                             const float (&high)[4]) {
    StoreNormParts(norm, 0, low);
    StoreNormParts(norm, 1, high);
  }

  char weight_q[kWeightBytes<DP>];
  char weight_k[kWeightBytes<DP>];
  char q[kRowsBytes<DP>];
  char k[kStages][kRowsBytes<DP>];
  char v[kStages][kRowsBytes<DP>];
  char phi_k[kPhis][kPhiBytes];
  char state[kStateBytes<DP>];
  char norm[kNormBytes];
  char sink_k[kSinkBytes<DP>];
  char sink_v[kSinkBytes<DP>];
  char ones[kOnesBytes];
  float errors[2 * kGroup / 32];
  Barrier q_full[kTurns], q_empty;  // full: one for either's turns
  Barrier k_full[kStages], k_empty[kStages];
  Barrier v_full[kStages], v_empty[kStages];
  Barrier phi_full[kPhis], phi_empty[kPhis];
  Barrier state_full[kTurns], state_empty;  // full: as q_full
};

template <int DP>
__device__ __forceinline__ void InitBarriers(Shared<DP>& shared, bool linear) {
  shared.q_empty.Init(kWarps);
  for (int i = 0; i < kStages; ++i) {
    shared.k_full[i].Init(1);
    shared.v_full[i].Init(1);
    // Two warpgroups of rows; the state's.
    shared.k_empty[i].Init(2 * kWarps);
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
template <int DP>
__device__ __forceinline__ void StoreKeyFeatures(Shared<DP>& shared,
                                                 const Args& a,
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
template <int DP>
__device__ __forceinline__ void MakeFirstFeatures(Shared<DP>& shared,
                                                  const Args& a,
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

// One warpgroup's whole job: every other 64 rows. Returns the thread's squared
// error.
template <int DP, bool kSinks, bool kStatistics>
__device__ __forceinline__ float AttendRows(Shared<DP>& shared, const Args& a,
                                            const HopperScratch& scratch,
                                            const PairMaps& maps,
                                            const PairBlock& b, int turn) {
  const bool leads = threadIdx.x % kGroup == 0;
  const int row = ThreadRow(), column = ThreadColumn();
  const float gamma = Gamma(a, b.head), alpha = Alpha(a, gamma);
  const float log_gamma = log2f(gamma);
  const float scale = rsqrtf(static_cast<float>(a.D)) * kLog2e;
  const bool own_linear = OwnLinear(a, b.terms);
  const KMajor q{SharedAddress(shared.q), kPanel};
  const MnMajor weight_q{SharedAddress(shared.weight_q), kWeightBytes<DP>};
  const MnMajor weight_k{SharedAddress(shared.weight_k), kWeightBytes<DP>};
  float squared_error = 0;
  PairBits bits;

#pragma unroll 1
  for (int i = turn; i < b.count; i += 2) {
    const int tile = b.first_tile + i;
    const int own = (i + 1) % kStages, previous = i % kStages;
    const uint32_t k_own = SharedAddress(shared.k[own]);
    const uint32_t k_previous = SharedAddress(shared.k[previous]);
    // Features of the own keys.
    shared.k_full[own].Wait((i + 1) / kStages);
    float z[32];
    if (b.linear) {
      Pin(z);
      WgmmaFence();
      Multiply<DP>(z, KMajor{k_own, kPanel}, weight_k, false);
      WgmmaCommit();
      WgmmaWait();
      Pin(z);
      StoreKeyFeatures(shared, a, b, z, i + 1);
    }

    // Scores and z of the queries. Without linear terms z is not used.
    float s_own[32], s_previous[32], s_sink[8];
    shared.k_full[previous].Wait(i / kStages);
    shared.q_full[turn].Wait(i / 2);
    Pin(z);
    Pin(s_own);
    Pin(s_previous);
    Pin(s_sink);
    WgmmaFence();
    Multiply<DP>(s_own, q, KMajor{k_own, kPanel}, false);
    Multiply<DP>(s_previous, q, KMajor{k_previous, kPanel}, false);
    if constexpr (kSinks) {
      Multiply<DP>(s_sink, q, KMajor{SharedAddress(shared.sink_k), kSinkPanel},
                   false);
    }
    Multiply<DP>(z, q, weight_q, false);
    WgmmaCommit();
    bits.Make(a, b.terms, tile);
    WgmmaWait();
    Pin(z);
    Pin(s_own);
    Pin(s_previous);
    Pin(s_sink);
    ArriveWarp(shared.q_empty);
    ArriveWarp(shared.k_empty[previous]);
    ArriveWarp(shared.k_empty[own]);
    if (leads) {
      if (i + 1 < b.count) {
        shared.q_empty.Wait(i);
        FetchTile<DP>(maps.q, b, b.head, i + 2, shared.q,
                      shared.q_full[1 - turn]);
      }
      if (i + 2 < b.count) {
        shared.k_empty[previous].Wait(i / kStages);
        FetchTile<DP>(maps.k, b, b.kv, i + 3, shared.k[previous],
                      shared.k_full[previous]);
      }
    }
    __syncwarp();

    // Softmax weights.
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
    const float top[2] = {most[0] * scale, most[1] * scale};
    const float shift[2] = {top[0] - log_gamma, top[1] - log_gamma};
    float sum[2] = {0, 0}, linear_sum[2] = {0, 0};
    uint32_t p_own[4][4], p_previous[4][4], p_sink[1][4];
    Exponentials(
        s_own, scale, shift, bits.own.softmax == bits.own.set,
        [&](int x) { return Has(bits.own.softmax, x); }, sum);
    ToOperand(s_own, p_own);
    Pin(p_own);
    Exponentials(
        s_previous, scale, shift, bits.previous.softmax == bits.previous.set,
        [&](int x) { return Has(bits.previous.softmax, x); }, sum);
    ToOperand(s_previous, p_previous);
    Pin(p_previous);
    if constexpr (kSinks) {
      Exponentials(
          s_sink, scale, shift, b.terms & kFarSinkTerms,
          [](int) { return false; }, sum);
      ToOperand(s_sink, p_sink);
    }

    // The queries' features; the linear terms join the weights.
    uint32_t phi_q[8][4] = {};
    if (b.linear) {
      float up[32], down[32];
      Hedgehog<true>(z, a.F, alpha, alpha, up, down);
      ToOperand(up, reinterpret_cast<uint32_t(&)[4][4]>(phi_q[0]));
      ToOperand(down, reinterpret_cast<uint32_t(&)[4][4]>(phi_q[4]));
      Pin(phi_q);
      shared.phi_full[i % 2].Wait(i / 2);
      AddLinear(phi_q, SharedAddress(shared.phi_k[i % 2]), bits.previous.linear,
                p_previous, linear_sum);
      ArriveWarp(shared.phi_empty[i % 2]);
      if (own_linear) {
        const int at = (i + 1) % 2;
        shared.phi_full[at].Wait((i + 1) / 2);
        AddLinear(phi_q, SharedAddress(shared.phi_k[at]), bits.own.linear,
                  p_own, linear_sum);
      }
    }

#pragma unroll
    for (int r = 0; r < 2; ++r) {
      sum[r] = QuadSum(sum[r]);
      linear_sum[r] = QuadSum(linear_sum[r]);
    }

    // Weights times values, queries' features times the state: 64 columns at a
    // time, for all would take too many registers. Without linear terms some
    // are zeros: no product has to be left out.
    shared.v_full[own].Wait((i + 1) / kStages);
    shared.v_full[previous].Wait(i / kStages);
    if (b.linear) shared.state_full[turn].Wait(i / 2);
    const int64_t first_row = b.segment.begin + b.Row(i);
    const int rows = b.Rows(i);
    float dots[2] = {0, 0}, inv[2] = {0, 0};
#pragma unroll 1
    for (int half = 0; half < DP / 64; ++half) {
      const int panel = half * kPanel;
      float out[32], norm[4];
      Pin(out);
      Pin(norm);
      WgmmaFence();
      Multiply<kTile>(out, p_own,
                      MnMajor{SharedAddress(shared.v[own]) + panel, kPanel},
                      false);
      Multiply<kTile>(
          out, p_previous,
          MnMajor{SharedAddress(shared.v[previous]) + panel, kPanel}, true);
      if constexpr (kSinks) {
        Multiply<kPairSinks>(
            out, p_sink,
            MnMajor{SharedAddress(shared.sink_v) + half * kSinkPanel,
                    kSinkPanel},
            true);
      }
      Multiply<kOutputs>(
          out, phi_q,
          MnMajor{SharedAddress(shared.state) + half * kOutputs * 128,
                  kOutputs * 128},
          true);
      Multiply<kOutputs>(norm, phi_q,
                         KMajor{SharedAddress(shared.norm), kNormPanel}, false);
      WgmmaCommit();
      WgmmaWait();
      Pin(out);
      Pin(norm);
      if (half == 0) {
        // Only columns 0 and 1 of the norm's product are not zero.
#pragma unroll
        for (int r = 0; r < 2; ++r) {
          linear_sum[r] += QuadSum(norm[2 * r] + norm[2 * r + 1]);
          const float den = sum[r] + linear_sum[r];
          inv[r] = den > 0 ? 1.0f / den : 0.0f;
        }
        StoreStatistics(a, first_row, rows, b.head, top, sum, linear_sum);
      }
      if (half == DP / 64 - 1) {
        ArriveWarp(shared.v_empty[previous]);
        ArriveWarp(shared.v_empty[own]);
        if (b.linear) ArriveWarp(shared.state_empty);
        if (leads && i + 2 < b.count) {
          shared.v_empty[previous].Wait(i / kStages);
          FetchTile<DP>(maps.v, b, b.kv, i + 3, shared.v[previous],
                        shared.v_full[previous]);
        }
        __syncwarp();
      }
      if constexpr (kStatistics) {
        squared_error += FinishRows(a, scratch, first_row, rows, b.head,
                                    half * 64, inv, out, dots);
      } else {
        StoreOutput(a, first_row, rows, b.head, half * 64, inv, out);
      }
    }
    if constexpr (kStatistics) {
      dots[0] = QuadSum(dots[0]);
      dots[1] = QuadSum(dots[1]);
#pragma unroll
      for (int r = 0; r < 2; ++r) {
        if (column != 0 || row + 8 * r >= rows) continue;
        const int64_t to = b.head * a.rows + first_row + row + 8 * r;
        scratch.inv_den[to] = inv[r];
        scratch.delta[to] = dots[r];
      }
    }
    __syncwarp();
  }
  return squared_error;
}

template <int DP, bool kSinks, bool kStatistics>
__global__ void __launch_bounds__(kPairBlock, 1)
    ForwardRows(const __grid_constant__ Args a,
                const __grid_constant__ HopperScratch scratch,
                const __grid_constant__ PairMaps maps) {
  extern __shared__ __align__(1024) char memory[];
  Shared<DP>& shared = *reinterpret_cast<Shared<DP>*>(memory);
  const PairBlock b(a, scratch);
  if (!OnePair(a, b.terms)) return;
  const int group = Warpgroup();

  if (threadIdx.x == 0) {
    InitBarriers(shared, b.linear);
    FetchTile<DP>(maps.q, b, b.head, 1, shared.q, shared.q_full[0]);
    for (int i = 0; i < min(b.count + 1, kStages); ++i) {
      FetchTile<DP>(maps.k, b, b.kv, i, shared.k[i], shared.k_full[i]);
      FetchTile<DP>(maps.v, b, b.kv, i, shared.v[i], shared.v_full[i]);
    }
  }
  Clear(shared.norm, kNormBytes, kPairBlock);
  FillOnes(shared.ones);
  if (kSinks) {
    LoadSinks<DP>(SharedAddress(shared.sink_k), a.k, b.segment.begin, a.sinks,
                  b.kv, a.D, kPairBlock);
    LoadSinks<DP>(SharedAddress(shared.sink_v), a.v, b.segment.begin, a.sinks,
                  b.kv, a.D, kPairBlock);
  }
  if (b.linear) {
    LoadWeight<DP>(SharedAddress(shared.weight_q), scratch.weight_q, b.head,
                   kPairBlock);
    LoadWeight<DP>(SharedAddress(shared.weight_k), scratch.weight_k, b.head,
                   kPairBlock);
  } else {
    Clear(shared.state, kStateBytes<DP>, kPairBlock);
  }
  CopyCommit();
  CopyWait();
  FenceShared();
  __syncthreads();

  float squared_error = 0;
  if (group == 0) {
    if (b.linear) KeepState<DP>(shared, scratch, a, b);
  } else {
    // The second in turn would wait anyway.
    if (group == 2) MakeFirstFeatures(shared, a, b);
    squared_error = AttendRows<DP, kSinks, kStatistics>(shared, a, scratch,
                                                        maps, b, group - 1);
  }

  if (!kStatistics || a.target.data == nullptr) return;
  if (group > 0) {
    const float sum = WarpSum(squared_error);
    if (threadIdx.x % 32 == 0) shared.errors[threadIdx.x / 32 - kWarps] = sum;
  }
  __syncthreads();
  if (threadIdx.x > 0) return;
  float sum = 0;
  for (float error : shared.errors) sum += error;
  scratch.error[blockIdx.x] = sum;
}

template <int DP, bool kSinks, bool kStatistics>
void Launch(const Args& a, const HopperScratch& s, const PairMaps& maps,
            cudaStream_t stream) {
  constexpr auto kKernel = ForwardRows<DP, kSinks, kStatistics>;
  CARACAL_CUDA_CHECK(
      cudaFuncSetAttribute(kKernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                           sizeof(Shared<DP>)));
  kKernel<<<s.count * a.H, kPairBlock, sizeof(Shared<DP>), stream>>>(a, s,
                                                                     maps);
  CARACAL_CUDA_CHECK_LAUNCH();
}

template <int DP, bool kSinks>
void LaunchFor(const Args& a, const HopperScratch& s, const PairMaps& maps,
               cudaStream_t stream) {
  s.delta != nullptr ? Launch<DP, kSinks, true>(a, s, maps, stream)
                     : Launch<DP, kSinks, false>(a, s, maps, stream);
}

}  // namespace

void HopperForwardPairs(const Args& a, const HopperScratch& s,
                        const PairMaps& maps, cudaStream_t stream) {
  if (a.D <= 64) {
    a.sinks > 0 ? LaunchFor<64, true>(a, s, maps, stream)
                : LaunchFor<64, false>(a, s, maps, stream);
  } else {
    a.sinks > 0 ? LaunchFor<128, true>(a, s, maps, stream)
                : LaunchFor<128, false>(a, s, maps, stream);
  }
}

}  // namespace caracal::kernels::cuda
