// Forward of rows that are OnePair, in transfer: the gradient of the queries'
// features, which the rows' linear terms alone make. Included only by
// hybrid_attention_cuda_hopper_pair.cu.
#ifndef CARACAL_KERNELS_HYBRID_ATTENTION_HYBRID_ATTENTION_CUDA_PAIR_FORWARD_GRADIENT_H_
#define CARACAL_KERNELS_HYBRID_ATTENTION_HYBRID_ATTENTION_CUDA_PAIR_FORWARD_GRADIENT_H_

#include "kernels/hybrid_attention/hybrid_attention_cuda_pair_forward.h"

namespace caracal::kernels::cuda {

namespace forward {

// The operands of dphi that the rows bring.
template <int DP>
struct GradientOperands {
  uint32_t dy[DP / 16][4];
  uint32_t g[4][4];           // P - delta of the previous tile's keys
  uint32_t minus[1][4] = {};  // -delta, for the rows of the norm's operand
};

// phi dphi of the n features from `first` on; adds the rows' sums to `dot`.
// Calls done() when shared memory has been read.
template <int DP, int n, typename Shared, typename Done>
__device__ __forceinline__ void MultiplyFeatures(
    Shared& shared, int i, int first, const GradientOperands<DP>& x,
    const uint32_t* phi, float (&product)[n / 2], float (&dot)[2],
    const Done& done) {
  const uint32_t state = SharedAddress(shared.state) + first * 128;
  // Inside a panel.
  const uint32_t panel = first / 64, rest = first % 64 * 2;
  const uint32_t norm = SharedAddress(shared.norm) + panel * kNormPanel + rest;
  const uint32_t phi_k =
      SharedAddress(shared.phi_k[i % shared.kPhis]) + panel * kPanel + rest;
  Pin(product);
  WgmmaFence();
  Multiply<DP>(product, x.dy, KMajor{state, kOutputs * 128}, false);
  Multiply<16>(product, x.minus, MnMajor{norm, kNormPanel}, true);
  Multiply<kTile>(product, x.g, MnMajor{phi_k, kPanel}, true);
  WgmmaCommit();
  WgmmaWait();
  Pin(product);
  done();
  float chains[2][2] = {};
#pragma unroll
  for (int e = 0; e < n / 2; e += 2) {
    const float2 s = UnpackBf16(phi[first / 4 + e / 2]);
    product[e] *= s.x;
    product[e + 1] *= s.y;
    chains[e / 4 % 2][e % 4 / 2] += product[e] + product[e + 1];
  }
  dot[0] += chains[0][0] + chains[1][0];
  dot[1] += chains[0][1] + chains[1][1];
}

// dz += factor phi dot of all features of one of the two softmaxes; makes whole
// sums of `dot`.
__device__ __forceinline__ void AddMultiples(const uint32_t* phi,
                                             float (&dot)[2], float factor,
                                             float (&dz)[32]) {
  dot[0] = QuadSum(dot[0]);
  dot[1] = QuadSum(dot[1]);
  const float multiple[2] = {factor * dot[0], factor * dot[1]};
#pragma unroll
  for (int e = 0; e < 32; e += 2) {
    const float2 s = UnpackBf16(phi[e / 2]);
    dz[e] += multiple[e % 4 / 2] * s.x;
    dz[e + 1] += multiple[e % 4 / 2] * s.y;
  }
}

// dz of the i-th 64 rows, from what the forward has at hand: dy, and alpha
// phi_q, of them; the state, and the previous tile's features and values, in
// shared memory. With P = dy V^T and delta = dy . y,
//     dphi_q = alpha / den ((P - delta) phi_k + S dy - delta norm):
// one sum of products, -delta norm too. Calls done() when shared memory has
// been read. Returns the sum of the rows' phi_q . dphi_q, in the first of a
// row's four threads.
template <int DP, typename Shared, typename Done>
__device__ __forceinline__ float QueriesGradient(
    Shared& shared, const Args& a, const HopperScratch& scratch,
    const PairBlock& b, int i, uint32_t linear, float alpha,
    const float (&inv)[2], const float (&delta)[2],
    const uint32_t (&phi_q)[8][4], GradientOperands<DP>& operands,
    const Done& done) {
  const int column = ThreadColumn();
  {
    float dp[32];
    Pin(dp);
    WgmmaFence();
    Multiply<DP>(dp, operands.dy,
                 KMajor{SharedAddress(shared.v[i % kStages]), kPanel}, false);
    WgmmaCommit();
    WgmmaWait();
    Pin(dp);
#pragma unroll
    for (int x = 0; x < 32; ++x) {
      dp[x] = Has(linear, x) ? dp[x] - delta[x % 4 / 2] : 0.0f;
    }
    ToOperand(dp, operands.g);
    Pin(operands.g);
  }
  // The norm's rows are its high, its low and again its high parts.
#pragma unroll
  for (int r = 0; r < 2; ++r) {
    const float high = __bfloat162float(__float2bfloat16(delta[r]));
    if (column == 0) operands.minus[0][r] = PackBf16(-high, -high);
    if (column == 2) operands.minus[0][r] = PackBf16(high - delta[r], 0);
  }

  // dz = s (dphi - s . dphi) - t (dphi' - t . dphi') of s = softmax(z), t =
  // softmax(-z), which are here times alpha; t's in two parts, for dz takes its
  // registers by then.
  const uint32_t* phi = &phi_q[0][0];
  const float once = alpha > 0 ? 1 / alpha : 0;
  float dz[32], up[2] = {0, 0}, down[2] = {0, 0};
  MultiplyFeatures<DP, 64>(shared, i, 0, operands, phi, dz, up, [] {});
  AddMultiples(phi, up, -once, dz);
#pragma unroll
  for (int part = 0; part < 2; ++part) {
    float product[16];
    MultiplyFeatures<DP, 32>(shared, i, 64 + 32 * part, operands, phi, product,
                             down, [&] {
                               if (part == 1) done();
                             });
#pragma unroll
    for (int e = 0; e < 16; ++e) dz[16 * part + e] -= product[e];
    Pin(dz);
  }
  AddMultiples(phi + 16, down, once, dz);

  const int rows = b.Rows(i);
  float sum = 0;
#pragma unroll
  for (int r = 0; r < 2; ++r) {
    const float w = ThreadRow() + 8 * r < rows ? inv[r] : 0;
    sum += w * (up[r] + down[r]);
#pragma unroll
    for (int x = 0; x < 16; ++x) dz[OfRow(r, x)] *= w;
  }
  if (a.dweight_q != nullptr) {
    const HeadRows<bf16> out{scratch.dz_q,
                             static_cast<int64_t>(a.H) * kFeatures, kFeatures};
    StoreRows(out, b.segment.begin + b.Row(i), rows, b.head, kFeatures, 0, dz);
  }
  return column == 0 ? sum : 0;
}

}  // namespace forward

}  // namespace caracal::kernels::cuda

#endif  // CARACAL_KERNELS_HYBRID_ATTENTION_HYBRID_ATTENTION_CUDA_PAIR_FORWARD_GRADIENT_H_
