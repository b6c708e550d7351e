// Hopper version: adds up the parts of gradients that segments and the query
// heads of a group leave, in a fixed order.
#include <algorithm>

#include "kernels/common/cuda_check.h"
#include "kernels/hybrid_attention/hybrid_attention_cuda_hopper_kernels.h"

namespace caracal::kernels::cuda {
namespace {

constexpr int kThreads = 256, kFeatures = 64;

// total [H, D, F] += the sum over segments of parts [count, H, DP, 64]; element
// i.
__device__ void AddWeights(const Args& a, const float* parts, int count,
                           int64_t i, float* total) {
  const int64_t DP = a.D <= 64 ? 64 : 128;
  if (i >= a.H * a.D * a.F) return;
  const int64_t head = i / (a.D * a.F), d = i / a.F % a.D, f = i % a.F;
  float sum = 0;
  for (int slot = 0; slot < count; ++slot) {
    sum += parts[((slot * a.H + head) * DP + d) * kFeatures + f];
  }
  total[i] += sum;
}

// A block.
__device__ void AddSquaredError(const float* parts, int64_t count,
                                double* total) {
  __shared__ double sums[kThreads];
  double sum = 0;
  for (int64_t i = threadIdx.x; i < count; i += kThreads) sum += parts[i];
  for (int left = kThreads / 2; left > 0; left /= 2) {
    sums[threadIdx.x] = sum;
    __syncthreads();
    if (threadIdx.x < left) sum += sums[threadIdx.x + left];
    __syncthreads();
  }
  if (threadIdx.x == 0) *total += sum;
}

// The parameters' gradients. `blocks` of either map's weights, if they are
// asked for; the last block has the rest.
__global__ void Parameters(const __grid_constant__ Args a,
                           const __grid_constant__ HopperScratch s,
                           int blocks) {
  int block = blockIdx.x;
  for (const bool keys : {false, true}) {
    float* const total = keys ? a.dweight_k : a.dweight_q;
    if (total == nullptr) continue;
    if (block < blocks) {
      AddWeights(a, keys ? s.dweight_k : s.dweight_q, s.count,
                 static_cast<int64_t>(block) * kThreads + threadIdx.x, total);
      return;
    }
    block -= blocks;
  }
  if (a.dwindow_factor != nullptr) {
    for (int head = threadIdx.x; head < a.H; head += kThreads) {
      float sum = 0;
      for (int slot = 0; slot < s.count; ++slot) {
        sum += s.dfactor[static_cast<int64_t>(slot) * a.H + head];
      }
      a.dwindow_factor[head] += sum;
    }
  }
  if (a.target.data != nullptr && a.squared_error != nullptr) {
    AddSquaredError(s.error, static_cast<int64_t>(s.count) * a.H,
                    a.squared_error);
  }
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
  const unsigned blocks = Blocks(a.H * a.D * a.F);
  unsigned all = 1;
  for (const float* total : {a.dweight_q, a.dweight_k}) {
    if (total != nullptr) all += blocks;
  }
  Parameters<<<all, kThreads, 0, stream>>>(a, s, static_cast<int>(blocks));
  CARACAL_CUDA_CHECK_LAUNCH();
  for (const auto& [parts, out] : {std::pair(s.dk, a.dk), {s.dv, a.dv}}) {
    if (parts == nullptr) continue;
    Groups<<<Blocks(a.rows * a.Hkv * a.D / 8), kThreads, 0, stream>>>(a, parts,
                                                                      out);
    CARACAL_CUDA_CHECK_LAUNCH();
  }
}

}  // namespace caracal::kernels::cuda
