// Hopper version: the feature maps' weights as bf16 tiles. The tables' way to
// the device, which comes before this on the stream, is not waited for until
// the end: nothing here reads them.
#include "kernels/common/cuda_early_launch.h"
#include "kernels/hybrid_attention/hybrid_attention_cuda_hopper_kernels.h"
#include "kernels/hybrid_attention/hybrid_attention_cuda_tiles.h"

namespace caracal::kernels::cuda {
namespace {

struct Operands {
  Args a;
  HopperScratch scratch;
};

// Grid: heads; which weights; pieces of a head's.
template <int DP>
__global__ void Weights(const __grid_constant__ Operands operands) {
  const Args& a = operands.a;
  const HopperScratch& scratch = operands.scratch;
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
  AwaitEarlier();
}

}  // namespace

void HopperWeights(const Args& a, const HopperScratch& s, cudaStream_t stream) {
  if (a.F == 0) return;
  LaunchEarly(a.D <= 64 ? Weights<64> : Weights<128>, dim3(a.H, 2, 8),
              dim3(kBlock), 0, stream, Operands{a, s});
}

}  // namespace caracal::kernels::cuda
