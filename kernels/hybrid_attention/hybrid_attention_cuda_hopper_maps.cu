// Hopper version: the gradient of the queries' feature maps from dz, and the
// rows' statistics from what the forward left.
#include "kernels/common/cuda_check.h"
#include "kernels/hybrid_attention/hybrid_attention_cuda_hopper_kernels.h"
#include "kernels/hybrid_attention/hybrid_attention_cuda_tiles.h"

namespace caracal::kernels::cuda {
namespace {

constexpr int kSteps = 3;  // tiles on their way

template <int DP>
struct Shared {
  char q[kSteps][kRowsBytes<DP>];
  char dz[kSteps][kPanel];
};

// A segment's and head's part of q^T dz.
template <int DP>
__global__ void __launch_bounds__(kBlock, 2)
    MapGradients(const __grid_constant__ Args a,
                 const __grid_constant__ HopperScratch scratch) {
  extern __shared__ __align__(1024) char memory[];
  Shared<DP>& shared = *reinterpret_cast<Shared<DP>*>(memory);
  const int head = blockIdx.x % a.H, slot = blockIdx.x / a.H;
  const Segment segment = scratch.segments[slot];
  const int terms = a.terms[segment.sequence * a.H + head];
  if (!OneKeyPair(a, terms)) return;
  const int group = Warpgroup();
  const HeadRows<const bf16> dz{
      scratch.dz_q, static_cast<int64_t>(a.H) * kFeatures, kFeatures};
  const auto load = [&](int n, int step) {
    if (n < segment.last) {
      const int count = min(segment.length - n, kTile);
      LoadRows<DP>(SharedAddress(shared.q[step]), a.q, segment.begin + n, count,
                   head, a.D);
      LoadRows<64>(SharedAddress(shared.dz[step]), dz, segment.begin + n, count,
                   head, kFeatures);
    }
    CopyCommit();
  };
  float sum[32] = {};
  if (AnyLinear(terms)) {
#pragma unroll
    for (int i = 0; i < kSteps - 1; ++i) load(segment.first + i * kTile, i);
    int step = 0;
#pragma unroll 1
    for (int n = segment.first; n < segment.last; n += kTile) {
      CopyWait<kSteps - 2>();
      FenceShared();
      __syncthreads();
      load(n + (kSteps - 1) * kTile, (step + kSteps - 1) % kSteps);
      if (group < DP / 64) {
        Pin(sum);
        WgmmaFence();
        Multiply<kTile>(
            sum,
            MnMajor{SharedAddress(shared.q[step]) + group * kPanel, kPanel},
            MnMajor{SharedAddress(shared.dz[step]), kPanel}, true);
        WgmmaCommit();
        WgmmaWait();
        Pin(sum);
      }
      step = (step + 1) % kSteps;
    }
    CopyWait();
  }
  if (group < DP / 64) {
    StoreWeightPart(
        scratch.dweight_q + blockIdx.x * static_cast<int64_t>(DP) * kFeatures,
        group, sum);
  }
}

// 1 / den and dy . y. A warp a row and head.
__global__ void Statistics(const __grid_constant__ Args a,
                           const __grid_constant__ HopperScratch scratch) {
  const int64_t i =
      (static_cast<int64_t>(blockIdx.x) * kBlock + threadIdx.x) / 32;
  if (i >= a.rows * a.H) return;
  const int64_t row = i / a.H, head = i % a.H, at = head * a.rows + row;
  const bf16* dy = At(a.dy, row, head);
  const bf16* y = At(a.saved_y, row, head);
  float dot = 0;
  for (int d = threadIdx.x % 32 * 4; d < a.D; d += 128) {
    const uint2 from = *reinterpret_cast<const uint2*>(dy + d);
    const uint2 with = *reinterpret_cast<const uint2*>(y + d);
    const float2 dy0 = UnpackBf16(from.x), dy1 = UnpackBf16(from.y);
    const float2 y0 = UnpackBf16(with.x), y1 = UnpackBf16(with.y);
    dot += dy0.x * y0.x + dy0.y * y0.y + dy1.x * y1.x + dy1.y * y1.y;
  }
  dot = WarpSum(dot);
  if (threadIdx.x % 32 != 0) return;
  const float den = a.saved_softmax_den[at] + a.saved_linear_den[at];
  scratch.inv_den[at] = den > 0 ? 1.0f / den : 0.0f;
  scratch.delta[at] = dot;
}

template <int DP>
void Launch(const Args& a, const HopperScratch& s, cudaStream_t stream) {
  CARACAL_CUDA_CHECK(cudaFuncSetAttribute(
      MapGradients<DP>, cudaFuncAttributeMaxDynamicSharedMemorySize,
      sizeof(Shared<DP>)));
  MapGradients<DP><<<s.count * a.H, kBlock, sizeof(Shared<DP>), stream>>>(a, s);
  CARACAL_CUDA_CHECK_LAUNCH();
}

}  // namespace

void HopperMapGradients(const Args& a, const HopperScratch& s,
                        cudaStream_t stream) {
  a.D <= 64 ? Launch<64>(a, s, stream) : Launch<128>(a, s, stream);
}

void HopperStatistics(const Args& a, const HopperScratch& s,
                      cudaStream_t stream) {
  const int64_t blocks = (a.rows * a.H * 32 + kBlock - 1) / kBlock;
  Statistics<<<static_cast<unsigned>(blocks), kBlock, 0, stream>>>(a, s);
  CARACAL_CUDA_CHECK_LAUNCH();
}

}  // namespace caracal::kernels::cuda
