// Forward of rows that are OnePair: the warpgroups that take 64 rows in turn.
// Included only by hybrid_attention_cuda_hopper_pair.cu.
#ifndef CARACAL_KERNELS_HYBRID_ATTENTION_HYBRID_ATTENTION_CUDA_PAIR_FORWARD_ROWS_H_
#define CARACAL_KERNELS_HYBRID_ATTENTION_HYBRID_ATTENTION_CUDA_PAIR_FORWARD_ROWS_H_

#include "kernels/hybrid_attention/hybrid_attention_cuda_output.h"
#include "kernels/hybrid_attention/hybrid_attention_cuda_pair_forward_gradient.h"

namespace caracal::kernels::cuda {

namespace forward {

// A tile of the target, ahead of its use.
__device__ __forceinline__ void FetchTarget(const Args& a, const PairBlock& b,
                                            int i) {
  const int member = threadIdx.x % kGroup;
  const int column = member / kTile * 64;
  if (column >= a.D) return;
  const int row = min(member % kTile, b.Rows(i) - 1);
  FetchLine(At(a.target, b.segment.begin + b.Row(i) + row, b.head) + column);
}

// What a thread adds up over its rows.
struct RowSums {
  float squared_error = 0;
  float dots = 0;  // phi_q . dphi_q
};

// One warpgroup's whole job: every other 64 rows.
template <int DP, bool kSinks, Leaves kLeaves>
__device__ __forceinline__ RowSums AttendRows(Shared<DP, kLeaves>& shared,
                                              const Args& a,
                                              const HopperScratch& scratch,
                                              const PairMaps& maps,
                                              const PairBlock& b, int turn) {
  constexpr bool kTransfer = kLeaves == Leaves::kTransfer;
  constexpr int kKeyStages = shared.kKeyStages, kPhis = shared.kPhis;
  constexpr int kHalves = DP / 64;
  const bool leads = threadIdx.x % kGroup == 0;
  const int row = ThreadRow(), column = ThreadColumn();
  const float gamma = Gamma(a, b.head), alpha = Alpha(a, gamma);
  const float log_gamma = log2f(gamma);
  const float scale = rsqrtf(static_cast<float>(a.D)) * kLog2e;
  const bool own_linear = OwnLinear(a, b.terms);
  const KMajor q{SharedAddress(shared.q), kPanel};
  const MnMajor weight_q{SharedAddress(shared.weight_q), kWeightBytes<DP>};
  const MnMajor weight_k{SharedAddress(shared.weight_k), kWeightBytes<DP>};
  const bool gradient =
      kTransfer && b.linear && !b.own && OneKeyPair(a, scratch, b.terms);
  const bool regress = kTransfer || a.target.data != nullptr;
  RowSums sums;
  PairBits bits;

#pragma unroll 1
  for (int i = turn; i < b.count; i += 2) {
    const int tile = b.first_tile + i;
    const int own = (i + 1) % kStages, previous = i % kStages;
    const int key_own = (i + 1) % kKeyStages, key_previous = i % kKeyStages;
    const uint32_t k_own = SharedAddress(shared.k[key_own]);
    const uint32_t k_previous = SharedAddress(shared.k[key_previous]);
    if constexpr (kTransfer) FetchTarget(a, b, i);
    // Features of the own keys.
    shared.k_full[key_own].Wait((i + 1) / kKeyStages);
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
    shared.k_full[key_previous].Wait(i / kKeyStages);
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
    ArriveWarp(shared.k_empty[key_previous]);
    ArriveWarp(shared.k_empty[key_own]);
    if (leads) {
      if (i + 1 < b.count) {
        shared.q_empty.Wait(i);
        FetchTile<DP>(maps.q, b, b.head, i + 2, shared.q,
                      shared.q_full[1 - turn]);
      }
      if (i + kKeyStages <= b.count) {
        shared.k_empty[key_previous].Wait(i / kKeyStages);
        FetchTile<DP>(maps.k, b, b.kv, i + kKeyStages, shared.k[key_previous],
                      shared.k_full[key_previous]);
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
      shared.phi_full[i % kPhis].Wait(i / kPhis);
      AddLinear(phi_q, SharedAddress(shared.phi_k[i % kPhis]),
                bits.previous.linear, p_previous, linear_sum);
      if (!kTransfer) ArriveWarp(shared.phi_empty[i % kPhis]);
      if (own_linear) {
        const int at = (i + 1) % kPhis;
        shared.phi_full[at].Wait((i + 1) / kPhis);
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
    // Gives back what only these rows still looked at.
    const auto give_back = [&] {
      ArriveWarp(shared.v_empty[previous]);
      if (b.linear) {
        ArriveWarp(shared.state_empty);
        if (kTransfer) ArriveWarp(shared.phi_empty[i % kPhis]);
      }
      if (leads && i + 2 < b.count) {
        shared.v_empty[previous].Wait(i / kStages);
        FetchTile<DP>(maps.v, b, b.kv, i + 3, shared.v[previous],
                      shared.v_full[previous]);
      }
      __syncwarp();
    };
    float dots[2] = {0, 0}, inv[2] = {0, 0};
    GradientOperands<DP> operands;
    // Unrolled where dy stays in registers, which have no indices.
#pragma unroll(kTransfer ? kHalves : 1)
    for (int half = 0; half < kHalves; ++half) {
      const int panel = half * kPanel;
      float out[32], norm[4];
      uint32_t given[16];
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
      if (!kTransfer || half == 0) {
        Multiply<kOutputs>(
            norm, phi_q, KMajor{SharedAddress(shared.norm), kNormPanel}, false);
      }
      WgmmaCommit();
      if constexpr (kLeaves != Leaves::kOutput) {
        LoadWords<32>(regress ? a.target : a.dy, first_row, rows, b.head, a.D,
                      half * 64, given);
      }
      WgmmaWait();
      Pin(out);
      Pin(norm);
      if (half == 0) {
        // Columns 0 and 1 of the norm's product add up to it.
#pragma unroll
        for (int r = 0; r < 2; ++r) {
          linear_sum[r] +=
              QuadSum(column == 0 ? norm[2 * r] + norm[2 * r + 1] : 0.0f);
          const float den = sum[r] + linear_sum[r];
          inv[r] = den > 0 ? 1.0f / den : 0.0f;
        }
        if constexpr (kLeaves == Leaves::kOutput) {
          StoreStatistics(a, first_row, rows, b.head, top, sum, linear_sum);
        }
      }
      if (half == kHalves - 1) {
        ArriveWarp(shared.v_empty[own]);
        if constexpr (!kTransfer) give_back();
      }
      if constexpr (kLeaves == Leaves::kOutput) {
        StoreOutput(a, first_row, rows, b.head, half * 64, inv, out);
      } else if (!regress) {
        AddDots(given, inv, out, dots);
      } else {
        sums.squared_error += Regress(a, given, rows, inv, out, dots);
        if constexpr (kTransfer) {
          auto& dy = reinterpret_cast<uint32_t(&)[4][4]>(operands.dy[4 * half]);
          ToOperand(out, dy);
          Pin(dy);
        } else {
          StoreRows(scratch.dy, first_row, rows, b.head, a.D, half * 64, out);
        }
      }
    }
    if constexpr (kLeaves != Leaves::kOutput) {
      dots[0] = QuadSum(dots[0]);
      dots[1] = QuadSum(dots[1]);
    }
    if constexpr (kTransfer) {
      // What others wait for is given back before the rest.
      if (gradient) {
        sums.dots +=
            QueriesGradient<DP>(shared, a, scratch, b, i, bits.previous.linear,
                                alpha, inv, dots, phi_q, operands, give_back);
      } else {
        give_back();
      }
#pragma unroll
      for (int half = 0; half < kHalves; ++half) {
        StoreWords(
            scratch.dy, first_row, rows, b.head, a.D, half * 64,
            reinterpret_cast<const uint32_t(&)[16]>(operands.dy[4 * half]));
      }
    }
    if constexpr (kLeaves != Leaves::kOutput) {
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
  return sums;
}

}  // namespace forward

}  // namespace caracal::kernels::cuda

#endif  // CARACAL_KERNELS_HYBRID_ATTENTION_HYBRID_ATTENTION_CUDA_PAIR_FORWARD_ROWS_H_
