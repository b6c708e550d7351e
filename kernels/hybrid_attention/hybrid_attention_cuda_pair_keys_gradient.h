// Backward by keys of rows that are OneKeyPair: the keys' gradient from later
// rows' linear terms, as both kernels form it. Included only by
// hybrid_attention_cuda_hopper_pair_keys.cu.
#ifndef CARACAL_KERNELS_HYBRID_ATTENTION_HYBRID_ATTENTION_CUDA_PAIR_KEYS_GRADIENT_H_
#define CARACAL_KERNELS_HYBRID_ATTENTION_HYBRID_ATTENTION_CUDA_PAIR_KEYS_GRADIENT_H_

#include "kernels/hybrid_attention/hybrid_attention_cuda_pair_keys.h"

namespace caracal::kernels::cuda {

namespace keys {

// One row's delta to its place in the operand.
__device__ __forceinline__ void StoreDelta(char* deltas, int row, float delta) {
  const bf16 high = __float2bfloat16(delta);
  *reinterpret_cast<bf16*>(deltas + TileOffset(kDeltaPanel, 0, row)) = high;
  *reinterpret_cast<bf16*>(deltas + TileOffset(kDeltaPanel, 1, row)) =
      __float2bfloat16(delta - __bfloat162float(high));
}

// An operand that takes the first two rows of deltas or of a norm away.
__device__ __forceinline__ void MinusOnes(uint32_t (&minus)[1][4]) {
  minus[0][0] = minus[0][1] = ThreadColumn() == 0 ? PackBf16(-1, -1) : 0;
  minus[0][2] = minus[0][3] = 0;
}

// dp = V dy^T - delta [keys, rows], on its way.
template <int DP>
__device__ __forceinline__ void BeginLater(const KMajor& values, const char* dy,
                                           const char* deltas,
                                           float (&dp)[32]) {
  uint32_t minus[1][4];
  MinusOnes(minus);
  Pin(dp);
  WgmmaFence();
  Multiply<DP>(dp, values, KMajor{SharedAddress(dy), kPanel}, false);
  Multiply<16>(dp, minus, MnMajor{SharedAddress(deltas), kDeltaPanel}, true);
  WgmmaCommit();
}
// g: dp, once it is there, where there is a linear term (alpha / den is in
// phi_q).
__device__ __forceinline__ void EndLater(uint32_t linear, float (&dp)[32],
                                         uint32_t (&g)[4][4]) {
  WgmmaWait();
  Pin(dp);
#pragma unroll
  for (int x = 0; x < 32; ++x) dp[x] = Has(linear, x) ? dp[x] : 0.0f;
  ToOperand(dp, g);
  Pin(g);
}

// dphi_k = R v - r + g phi_q.
template <int DP>
__device__ __forceinline__ void KeysGradient(const KMajor& values,
                                             const char* suffix,
                                             const char* norm, uint32_t phi_q,
                                             const uint32_t (&g)[4][4],
                                             float (&dphi)[kOutputs / 2]) {
  uint32_t minus[1][4];
  MinusOnes(minus);
  Pin(dphi);
  WgmmaFence();
  Multiply<DP>(dphi, values, KMajor{SharedAddress(suffix), kOutputs * 128},
               false);
  Multiply<16>(dphi, minus, MnMajor{SharedAddress(norm), kNormPanel}, true);
  Multiply<kTile>(dphi, g, MnMajor{phi_q, kPanel}, true);
  WgmmaCommit();
  WgmmaWait();
  Pin(dphi);
}

}  // namespace keys

}  // namespace caracal::kernels::cuda

#endif  // CARACAL_KERNELS_HYBRID_ATTENTION_HYBRID_ATTENTION_CUDA_PAIR_KEYS_GRADIENT_H_
