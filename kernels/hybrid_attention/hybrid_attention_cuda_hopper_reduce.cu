// Hopper version: adds up the parts of gradients that segments and the query
// heads of a group leave, in a fixed order.
#include "kernels/common/cuda_check.h"
#include "kernels/hybrid_attention/hybrid_attention_cuda_hopper_kernels.h"
#include "kernels/hybrid_attention/hybrid_attention_cuda_tiles.h"

namespace caracal::kernels::cuda {
namespace {

constexpr int kThreads = 256;
constexpr int kAtOnce = 4;  // heads whose parts are on their way

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

// The parameters' gradients: block by block, `blocks` of either map's weights,
// if they are asked for; the last one has the rest.
__device__ void AddParameters(const Args& a, const HopperScratch& s, int block,
                              int blocks) {
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

// 8 columns from d on of one row and key head: out [rows, Hkv, D] = the sum
// over its group's heads of parts [rows, H, D].
__device__ __forceinline__ void AddGroup(const Args& a, const bf16* parts,
                                         const HeadRows<bf16>& out, int64_t row,
                                         int64_t kv, int d) {
  const int group = a.H / a.Hkv;
  const bf16* from = parts + (row * a.H + kv * group) * a.D + d;
  float sum[8] = {};
  for (int first = 0; first < group; first += kAtOnce) {
    uint4 part[kAtOnce];
#pragma unroll
    for (int x = 0; x < kAtOnce; ++x) {
      if (first + x >= group) break;
      part[x] =
          __ldcs(reinterpret_cast<const uint4*>(from + (first + x) * a.D));
    }
#pragma unroll
    for (int x = 0; x < kAtOnce; ++x) {
      if (first + x >= group) break;
      const uint32_t pairs[] = {part[x].x, part[x].y, part[x].z, part[x].w};
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        const float2 pair = UnpackBf16(pairs[i]);
        sum[2 * i] += pair.x;
        sum[2 * i + 1] += pair.y;
      }
    }
  }
  *reinterpret_cast<uint4*>(At(out, row, kv) + d) =
      make_uint4(PackBf16(sum[0], sum[1]), PackBf16(sum[2], sum[3]),
                 PackBf16(sum[4], sum[5]), PackBf16(sum[6], sum[7]));
}

// `parameters` blocks for the parameters' gradients, then `rows` for dv and as
// many for dk, of those that have parts; each thread has a piece of a row.
__global__ void Reduce(const __grid_constant__ Args a,
                       const __grid_constant__ HopperScratch s, int parameters,
                       int blocks, int rows) {
  int block = blockIdx.x;
  if (block < parameters) return AddParameters(a, s, block, blocks);
  block -= parameters;
  const bool values = s.dv != nullptr && block < rows;
  if (s.dv != nullptr && !values) block -= rows;
  const int pieces = a.D / 8;
  // The rows' last parts first: they are still in the second-level cache.
  const int64_t i =
      static_cast<int64_t>(rows - 1 - block) * kThreads + threadIdx.x;
  if (i >= a.rows * a.Hkv * pieces) return;
  const int64_t row = i / (a.Hkv * pieces), kv = i / pieces % a.Hkv;
  const int d = static_cast<int>(i % pieces) * 8;
  AddGroup(a, values ? s.dv : s.dk, values ? a.dv : a.dk, row, kv, d);
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
  const unsigned rows = Blocks(a.rows * a.Hkv * a.D / 8);
  const unsigned groups =
      (s.dk != nullptr ? rows : 0) + (s.dv != nullptr ? rows : 0);
  Reduce<<<all + groups, kThreads, 0, stream>>>(a, s, static_cast<int>(all),
                                                static_cast<int>(blocks),
                                                static_cast<int>(rows));
  CARACAL_CUDA_CHECK_LAUNCH();
}

}  // namespace caracal::kernels::cuda
