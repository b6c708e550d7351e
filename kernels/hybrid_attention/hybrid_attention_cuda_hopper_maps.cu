// Hopper version: the gradients of the feature maps' weights from dz, and the
// rows' statistics from what the forward left.
#include "kernels/common/cuda_check.h"
#include "kernels/hybrid_attention/hybrid_attention_cuda_hopper_kernels.h"
#include "kernels/hybrid_attention/hybrid_attention_cuda_tiles.h"

namespace caracal::kernels::cuda {
namespace {

constexpr int kSteps = 3;  // tiles on their way

template <int DP>
struct Shared {
  char x[kSteps][kRowsBytes<DP>];
  char dz[kSteps][kPanel];
};

// A segment's and head's part of x^T dz, x being queries or keys.
template <int DP>
__global__ void __launch_bounds__(kBlock, 2)
    MapGradients(const __grid_constant__ Args a,
                 const __grid_constant__ HopperScratch scratch, bool keys) {
  extern __shared__ __align__(1024) char memory[];
  Shared<DP>& shared = *reinterpret_cast<Shared<DP>*>(memory);
  // The last rows first: they are still in the second-level cache.
  const int block = gridDim.x - 1 - blockIdx.x;
  const int head = block % a.H, slot = block / a.H;
  const Segment segment = scratch.segments[slot];
  const int terms = a.terms[segment.sequence * a.H + head];
  if (!OneKeyPair(a, scratch, terms)) return;
  const int group = Warpgroup();
  const HeadRows<const bf16>& x = keys ? a.k : a.q;
  const int x_head = keys ? KvHead(a, head) : head;
  const HeadRows<const bf16> dz{keys ? scratch.dz_k : scratch.dz_q,
                                static_cast<int64_t>(a.H) * kFeatures,
                                kFeatures};
  const auto load = [&](int n, int step) {
    if (n < segment.last) {
      const int count = min(segment.length - n, kTile);
      LoadRows<DP>(SharedAddress(shared.x[step]), x, segment.begin + n, count,
                   x_head, a.D);
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
            MnMajor{SharedAddress(shared.x[step]) + group * kPanel, kPanel},
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
    float* parts = keys ? scratch.dweight_k : scratch.dweight_q;
    StoreWeightPart(parts + static_cast<int64_t>(block) * DP * kFeatures, group,
                    sum);
  }
}

// 1 / den and dy . y. A block takes 64 rows of a head, 16 threads a row.
__global__ void Statistics(const __grid_constant__ Args a,
                           const __grid_constant__ HopperScratch scratch) {
  constexpr int kLanes = 16, kRows = kBlock / kLanes;
  const int head = blockIdx.x % a.H;
  const int64_t first = static_cast<int64_t>(blockIdx.x / a.H) * kTile;
  const int d = threadIdx.x % kLanes * 8;
  uint4 dy[kTile / kRows] = {}, y[kTile / kRows] = {};
#pragma unroll
  for (int i = 0; i < kTile / kRows; ++i) {
    const int64_t row = first + i * kRows + threadIdx.x / kLanes;
    if (row >= a.rows || d >= a.D) continue;
    dy[i] = *reinterpret_cast<const uint4*>(At(a.dy, row, head) + d);
    y[i] = *reinterpret_cast<const uint4*>(At(a.saved_y, row, head) + d);
  }
#pragma unroll
  for (int i = 0; i < kTile / kRows; ++i) {
    float dot = 0;
    const auto add = [&](uint32_t x, uint32_t with) {
      const float2 x0 = UnpackBf16(x), x1 = UnpackBf16(with);
      dot += x0.x * x1.x + x0.y * x1.y;
    };
    add(dy[i].x, y[i].x);
    add(dy[i].y, y[i].y);
    add(dy[i].z, y[i].z);
    add(dy[i].w, y[i].w);
    for (int m = kLanes / 2; m > 0; m /= 2) {
      dot += __shfl_xor_sync(~0u, dot, m);
    }
    const int64_t row = first + i * kRows + threadIdx.x / kLanes;
    if (threadIdx.x % kLanes != 0 || row >= a.rows) continue;
    const int64_t at = head * a.rows + row;
    const float den = a.saved_softmax_den[at] + a.saved_linear_den[at];
    scratch.inv_den[at] = den > 0 ? 1.0f / den : 0.0f;
    scratch.delta[at] = dot;
  }
}

template <int DP>
void Launch(const Args& a, const HopperScratch& s, bool keys,
            cudaStream_t stream) {
  CARACAL_LAUNCHER_CHECK(cudaFuncSetAttribute(
      MapGradients<DP>, cudaFuncAttributeMaxDynamicSharedMemorySize,
      sizeof(Shared<DP>)));
  MapGradients<DP>
      <<<s.count * a.H, kBlock, sizeof(Shared<DP>), stream>>>(a, s, keys);
  CARACAL_CUDA_CHECK_LAUNCH();
}

}  // namespace

void HopperMapGradients(const Args& a, const HopperScratch& s, bool keys,
                        cudaStream_t stream) {
  a.D <= 64 ? Launch<64>(a, s, keys, stream) : Launch<128>(a, s, keys, stream);
}

void HopperStatistics(const Args& a, const HopperScratch& s,
                      cudaStream_t stream) {
  const int64_t blocks = (a.rows + kTile - 1) / kTile * a.H;
  Statistics<<<static_cast<unsigned>(blocks), kBlock, 0, stream>>>(a, s);
  CARACAL_CUDA_CHECK_LAUNCH();
}

}  // namespace caracal::kernels::cuda
