// Hopper version: adds up the parts of gradients that segments and the query
// heads of a group leave, in a fixed order.
#include <algorithm>

#include "kernels/common/cuda_check.h"
#include "kernels/hybrid_attention/hybrid_attention_cuda_hopper_kernels.h"

namespace caracal::kernels::cuda {
namespace {

constexpr int kThreads = 256, kFeatures = 64;

// total [H, D, F] += the sum over segments of parts [count, H, DP, 64].
__global__ void Weights(const __grid_constant__ Args a, const float* parts,
                        int count, int64_t DP, float* total) {
  const int64_t i = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  if (i >= a.H * a.D * a.F) return;
  const int64_t head = i / (a.D * a.F), d = i / a.F % a.D, f = i % a.F;
  float sum = 0;
  for (int slot = 0; slot < count; ++slot) {
    sum += parts[((slot * a.H + head) * DP + d) * kFeatures + f];
  }
  total[i] += sum;
}

// A thread a head.
__global__ void Factors(const __grid_constant__ Args a, const float* parts,
                        int count) {
  const int64_t head = blockIdx.x * kThreads + threadIdx.x;
  if (head >= a.H) return;
  float sum = 0;
  for (int slot = 0; slot < count; ++slot) sum += parts[slot * a.H + head];
  a.dwindow_factor[head] += sum;
}

// One block.
__global__ void SquaredError(const float* parts, int64_t count, double* total) {
  __shared__ double sums[kThreads];
  double sum = 0;
  for (int64_t i = threadIdx.x; i < count; i += kThreads) sum += parts[i];
  sums[threadIdx.x] = sum;
  __syncthreads();
  if (threadIdx.x > 0) return;
  for (int i = 1; i < kThreads; ++i) sum += sums[i];
  *total += sum;
}

// out [rows, Hkv, D] = the sum over each group's heads of parts [rows, H, D];
// a thread 8 columns.
__global__ void Groups(const __grid_constant__ Args a, const bf16* parts,
                       HeadRows<bf16> out) {
  const int64_t i = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  const int64_t pieces = a.D / 8, group = a.H / a.Hkv;
  if (i >= a.rows * a.Hkv * pieces) return;
  const int64_t row = i / (a.Hkv * pieces), kv = i / pieces % a.Hkv;
  const int64_t d = i % pieces * 8;
  float sum[8] = {};
  for (int64_t h = kv * group; h < (kv + 1) * group; ++h) {
    const uint4 from =
        *reinterpret_cast<const uint4*>(parts + (row * a.H + h) * a.D + d);
    const auto* pairs = reinterpret_cast<const __nv_bfloat162*>(&from);
#pragma unroll
    for (int x = 0; x < 4; ++x) {
      const float2 pair = __bfloat1622float2(pairs[x]);
      sum[2 * x] += pair.x;
      sum[2 * x + 1] += pair.y;
    }
  }
  uint4 to;
  auto* pairs = reinterpret_cast<__nv_bfloat162*>(&to);
#pragma unroll
  for (int x = 0; x < 4; ++x) {
    pairs[x] = __floats2bfloat162_rn(sum[2 * x], sum[2 * x + 1]);
  }
  *reinterpret_cast<uint4*>(At(out, row, kv) + d) = to;
}

unsigned Blocks(int64_t items) {
  return static_cast<unsigned>((items + kThreads - 1) / kThreads);
}

}  // namespace

void HopperReduce(const Args& a, const HopperScratch& s, cudaStream_t stream) {
  const int64_t DP = a.D <= 64 ? 64 : 128, weights = a.H * a.D * a.F;
  for (const auto& [parts, total] :
       {std::pair(s.dweight_q, a.dweight_q), {s.dweight_k, a.dweight_k}}) {
    if (total == nullptr || weights == 0) continue;
    Weights<<<Blocks(weights), kThreads, 0, stream>>>(a, parts, s.count, DP,
                                                      total);
    CARACAL_CUDA_CHECK_LAUNCH();
  }
  if (a.dwindow_factor != nullptr) {
    Factors<<<Blocks(a.H), kThreads, 0, stream>>>(a, s.dfactor, s.count);
    CARACAL_CUDA_CHECK_LAUNCH();
  }
  if (a.target.data != nullptr && a.squared_error != nullptr) {
    SquaredError<<<1, kThreads, 0, stream>>>(s.error, s.count * a.H,
                                             a.squared_error);
    CARACAL_CUDA_CHECK_LAUNCH();
  }
  for (const auto& [parts, out] : {std::pair(s.dk, a.dk), {s.dv, a.dv}}) {
    if (parts == nullptr) continue;
    Groups<<<Blocks(a.rows * a.Hkv * a.D / 8), kThreads, 0, stream>>>(a, parts,
                                                                      out);
    CARACAL_CUDA_CHECK_LAUNCH();
  }
}

}  // namespace caracal::kernels::cuda
