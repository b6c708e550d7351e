// Hopper version: the feature maps' weights as bf16 tiles.
#include "kernels/common/cuda_check.h"
#include "kernels/hybrid_attention/hybrid_attention_cuda_hopper_kernels.h"
#include "kernels/hybrid_attention/hybrid_attention_cuda_tiles.h"

namespace caracal::kernels::cuda {
namespace {

// Grid: heads; which weights; pieces of a head's.
template <int DP>
__global__ void Weights(const __grid_constant__ Args a,
                        const __grid_constant__ HopperScratch scratch) {
  const int head = blockIdx.x, D = a.D, F = a.F;
  const bool keys = blockIdx.y;
  const float* weight =
      (keys ? a.weight_k : a.weight_q) + static_cast<int64_t>(head) * D * F;
  bf16* tile =
      (keys ? scratch.weight_k : scratch.weight_q) + head * DP * kFeatures;
  for (int i = blockIdx.z * kBlock + threadIdx.x; i < DP * kFeatures;
       i += gridDim.z * kBlock) {
    const int d = i / kFeatures, f = i % kFeatures;
    tile[TileOffset(DP * 128, d, f) / 2] =
        __float2bfloat16(d < D && f < F ? weight[d * F + f] : 0.0f);
  }
}

}  // namespace

void HopperWeights(const Args& a, const HopperScratch& s, cudaStream_t stream) {
  if (a.F == 0) return;
  const dim3 grid(a.H, 2, 8);
  if (a.D <= 64) {
    Weights<64><<<grid, kBlock, 0, stream>>>(a, s);
  } else {
    Weights<128><<<grid, kBlock, 0, stream>>>(a, s);
  }
  CARACAL_CUDA_CHECK_LAUNCH();
}

}  // namespace caracal::kernels::cuda
