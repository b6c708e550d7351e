// Two kernels. In the first a block takes a part of one sequence's keys for one
// key head and up to four of the query heads that share it: each key and value
// is read once for all of them. What it finds (maximum, sum, weighted values)
// goes to the workspace, and the second kernel joins the parts of a head.
//
// How many parts there are does not depend on the length, only where they are
// cut: the launch is the same for every token.
#include <algorithm>
#include <cfloat>
#include <type_traits>

#include "kernels/causal_attention/causal_attention_decode_cuda.h"
#include "kernels/common/cuda_check.h"
#include "kernels/common/cuda_early_launch.h"
#include "kernels/common/cuda_head_rows.h"
#include "kernels/common/cuda_pack.h"
#include "kernels/rope/rope_cuda_token.h"

namespace caracal::kernels {
namespace {

using cuda::At;
using cuda::bf16;
using cuda::BindBf16;
using cuda::LoadPack;
using cuda::Unpack;

constexpr int kThreads = 128, kWarps = kThreads / 32;
constexpr int kMostHeads = 4;   // query heads of a block
constexpr int kInFlight = 4;    // keys whose loads a lane has under way
constexpr int kMostParts = 64;  // of a sequence's keys
constexpr int kLeastKeys = 64;  // of a part
constexpr int kMostDim = 256;

struct Args {
  int H, Hkv, D, rows;     // rows of the cache
  int heads, head_blocks;  // query heads of a block; blocks of a key head
  int parts;
  const int32_t* length;
  HeadRows<const bf16> q, k, v;
  HeadRows<bf16> y;
  bf16 *keys, *values;  // [N, rows, Hkv, D]
  const float *cos, *sin;
  float* work;  // [N, H, parts, D + 2]: values, maximum, sum
};

__device__ __forceinline__ float* Part(const Args& a, int sequence, int head,
                                       int part) {
  return a.work +
         ((int64_t{sequence} * a.H + head) * a.parts + part) * (a.D + 2);
}

// Of the keys that a lane's group has seen: the maximum (in powers of two) of
// their scores, the sum of weights, and the lane's columns of the weighted
// values.
struct Running {
  float max = -FLT_MAX, sum = 0;
  float values[8] = {};

  __device__ __forceinline__ void Rescale(float highest) {
    const float scale = exp2f(max - highest);
    sum *= scale;
#pragma unroll
    for (float& x : values) x *= scale;
    max = highest;
  }
};

template <int kHeads>
__global__ void __launch_bounds__(kThreads)
    Parts(const __grid_constant__ Args a) {
  __shared__ __align__(16) float q[kHeads][kMostDim];
  __shared__ __align__(16) float key[kMostDim];
  __shared__ float values[kWarps][kHeads][kMostDim];
  __shared__ float maxima[kWarps][kHeads], sums[kWarps][kHeads];
  const int part = blockIdx.x, kv = blockIdx.y / a.head_blocks;
  const int sequence = blockIdx.z, group = a.H / a.Hkv;
  const int first = blockIdx.y % a.head_blocks * kHeads;  // of the group
  const int heads = min(kHeads, group - first);
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  cuda::AwaitEarlier();
  const int n = a.length[sequence];
  const int span = max((n + a.parts) / a.parts, kLeastKeys);  // of n + 1 keys
  const int begin = part * span, end = min(begin + span, n + 1);
  if (begin >= end) {
    if (threadIdx.x < heads) {
      float* const out =
          Part(a, sequence, kv * group + first + threadIdx.x, part);
      out[a.D] = -FLT_MAX;
      out[a.D + 1] = 0;
    }
    return;
  }
  for (int h = 0; h < heads; ++h) {
    cuda::RotateToken(At(a.q, sequence, kv * group + first + h), a.D, a.cos,
                      a.sin, n, threadIdx.x, kThreads, q[h]);
  }
  const bool newest = end == n + 1;
  const bf16* const value = At(a.v, sequence, kv);
  if (newest) {
    cuda::RotateToken(At(a.k, sequence, kv), a.D, a.cos, a.sin, n, threadIdx.x,
                      kThreads, key);
  }
  __syncthreads();
  const int64_t row = int64_t{a.Hkv} * a.D;  // elements between two keys
  const int64_t start = (int64_t{sequence} * a.rows * a.Hkv + kv) * a.D;
  if (newest && first == 0) {
    // No other block reads it there.
    for (int i = threadIdx.x; i < a.D; i += kThreads) {
      a.keys[start + n * row + i] = __float2bfloat16_rn(key[i]);
      a.values[start + n * row + i] = value[i];
    }
  }

  // A key is read by `width` neighbouring lanes.
  const int packs = a.D / 8;
  int width = 1;
  while (width < packs) width *= 2;
  const int pack = lane % width, at_once = kWarps * (32 / width);
  const int slot = warp * (32 / width) + lane / width;
  const bool mine = pack < packs;
  // Scores in powers of two.
  const float scale = rsqrtf(static_cast<float>(a.D)) * 1.44269504f;
  float x[kHeads][8];
#pragma unroll
  for (int h = 0; h < kHeads; ++h) {
#pragma unroll
    for (int c = 0; c < 8; ++c) {
      x[h][c] = mine && h < heads ? q[h][8 * pack + c] * scale : 0.0f;
    }
  }
  Running running[kHeads];
  const bf16* const keys = a.keys + start;
  const bf16* const past = a.values + start;
  const int past_end = min(end, n);
  for (int j0 = begin; j0 < end; j0 += at_once * kInFlight) {
    uint4 k[kInFlight], v[kInFlight];
#pragma unroll
    for (int i = 0; i < kInFlight; ++i) {
      const int j = j0 + i * at_once + slot;
      k[i] = v[i] = {};
      if (!mine) continue;
      if (j < past_end) {
        k[i] = LoadPack(keys + j * row, pack);
        v[i] = LoadPack(past + j * row, pack);
      } else if (j == n && newest) {
        float rotated[8];
#pragma unroll
        for (int c = 0; c < 8; ++c) rotated[c] = key[8 * pack + c];
        k[i] = cuda::Pack<bf16>(rotated);
        v[i] = LoadPack(value, pack);
      }
    }
    float score[kInFlight][kHeads];
#pragma unroll
    for (int i = 0; i < kInFlight; ++i) {
      float u[8];
      Unpack<bf16>(k[i], u);
#pragma unroll
      for (int h = 0; h < kHeads; ++h) {
        float dot = 0;
#pragma unroll
        for (int c = 0; c < 8; ++c) dot += x[h][c] * u[c];
        for (int m = width / 2; m > 0; m /= 2) {
          dot += __shfl_xor_sync(~0u, dot, m);
        }
        score[i][h] = dot;
      }
    }
    const auto there = [&](int i) { return j0 + i * at_once + slot < end; };
#pragma unroll
    for (int h = 0; h < kHeads; ++h) {
      float highest = running[h].max;
#pragma unroll
      for (int i = 0; i < kInFlight; ++i) {
        if (there(i)) highest = fmaxf(highest, score[i][h]);
      }
      running[h].Rescale(highest);
    }
#pragma unroll
    for (int i = 0; i < kInFlight; ++i) {
      float u[8];
      Unpack<bf16>(v[i], u);
#pragma unroll
      for (int h = 0; h < kHeads; ++h) {
        Running& r = running[h];
        const float w = there(i) ? exp2f(score[i][h] - r.max) : 0.0f;
        r.sum += w;
#pragma unroll
        for (int c = 0; c < 8; ++c) r.values[c] += w * u[c];
      }
    }
  }

  // Lanes that hold the same columns, then warps.
#pragma unroll
  for (int h = 0; h < kHeads; ++h) {
    Running& r = running[h];
    float highest = r.max;
    for (int m = 16; m >= width; m /= 2) {
      highest = fmaxf(highest, __shfl_xor_sync(~0u, highest, m));
    }
    r.Rescale(highest);
    for (int m = 16; m >= width; m /= 2) {
      r.sum += __shfl_xor_sync(~0u, r.sum, m);
#pragma unroll
      for (float& value : r.values) value += __shfl_xor_sync(~0u, value, m);
    }
    if (mine && lane < width) {
#pragma unroll
      for (int c = 0; c < 8; ++c) values[warp][h][8 * pack + c] = r.values[c];
    }
    if (lane == 0) {
      maxima[warp][h] = r.max;
      sums[warp][h] = r.sum;
    }
  }
  __syncthreads();
  for (int h = 0; h < heads; ++h) {
    float highest = maxima[0][h];
    for (int w = 1; w < kWarps; ++w) highest = fmaxf(highest, maxima[w][h]);
    float weight[kWarps], sum = 0;
#pragma unroll
    for (int w = 0; w < kWarps; ++w) {
      weight[w] = exp2f(maxima[w][h] - highest);
      sum += weight[w] * sums[w][h];
    }
    float* const out = Part(a, sequence, kv * group + first + h, part);
    for (int d = threadIdx.x; d < a.D; d += kThreads) {
      float total = 0;
#pragma unroll
      for (int w = 0; w < kWarps; ++w) total += weight[w] * values[w][h][d];
      out[d] = total;
    }
    if (threadIdx.x == 0) {
      out[a.D] = highest;
      out[a.D + 1] = sum;
    }
  }
}

__global__ void __launch_bounds__(kThreads)
    Join(const __grid_constant__ Args a) {
  __shared__ float weight[kMostParts];
  const int head = blockIdx.x, sequence = blockIdx.y;
  cuda::AwaitEarlier();
  float highest = -FLT_MAX;
  for (int p = 0; p < a.parts; ++p) {
    highest = fmaxf(highest, Part(a, sequence, head, p)[a.D]);
  }
  for (int p = threadIdx.x; p < a.parts; p += kThreads) {
    const float* const part = Part(a, sequence, head, p);
    // A part without keys has no values, either.
    weight[p] = part[a.D + 1] > 0 ? exp2f(part[a.D] - highest) : 0.0f;
  }
  __syncthreads();
  float sum = 0;
  for (int p = 0; p < a.parts; ++p) {
    if (weight[p] > 0) sum += weight[p] * Part(a, sequence, head, p)[a.D + 1];
  }
  bf16* const y = At(a.y, sequence, head);
  for (int d = threadIdx.x; d < a.D; d += kThreads) {
    float total = 0;
    for (int p = 0; p < a.parts; ++p) {
      if (weight[p] > 0) total += weight[p] * Part(a, sequence, head, p)[d];
    }
    y[d] = __float2bfloat16_rn(total / sum);
  }
}

// Into as many blocks as fill the chip twice.
Args ShapeOf(const CausalAttentionDecodeInputs& in) {
  CARACAL_CHECK(in.q.rank == 3 && in.k.rank == 3);
  Args a = {};
  const int64_t N = in.q.shape[0];
  a.H = static_cast<int>(in.q.shape[1]);
  a.Hkv = static_cast<int>(in.k.shape[1]);
  a.D = static_cast<int>(in.q.shape[2]);
  CARACAL_CHECK(a.D >= 8 && a.D % 8 == 0 && a.D <= kMostDim)
      << "head dimension " << a.D;
  CARACAL_CHECK(a.Hkv >= 1 && a.H % a.Hkv == 0) << a.H << " over " << a.Hkv;
  const int group = a.H / a.Hkv;
  a.head_blocks = (group + kMostHeads - 1) / kMostHeads;
  a.heads = (group + a.head_blocks - 1) / a.head_blocks;
  const int64_t blocks = std::max<int64_t>(N * a.Hkv * a.head_blocks, 1);
  a.parts = static_cast<int>(std::clamp<int64_t>(
      (4 * cuda::Multiprocessors() + blocks - 1) / blocks, 1, kMostParts));
  return a;
}

bf16* BindCache(const TensorView& view, int64_t N, const Args& a) {
  CARACAL_CHECK(view.rank == 4 && view.dtype == DType::kBF16 &&
                view.contiguous());
  CARACAL_CHECK(view.shape[0] == N && view.shape[1] == a.rows &&
                view.shape[2] == a.Hkv && view.shape[3] == a.D)
      << "cache [" << view.shape[0] << ", " << view.shape[1] << ", "
      << view.shape[2] << ", " << view.shape[3] << "], wanted [" << N << ", "
      << a.rows << ", " << a.Hkv << ", " << a.D << "]";
  return static_cast<bf16*>(view.data);
}

const float* BindTable(const ConstTensorView& view, const Args& a) {
  CARACAL_CHECK(view.rank == 2 && view.contiguous() &&
                view.shape[1] == a.D / 2);
  return view.f32();
}

}  // namespace

size_t CausalAttentionDecodeCudaWorkspaceBytes(
    const CausalAttentionDecodeInputs& in) {
  const Args a = ShapeOf(in);
  return in.q.shape[0] * a.H * a.parts * (a.D + 2) * sizeof(float);
}

void CausalAttentionDecodeCuda(const Context& ctx,
                               const CausalAttentionDecodeInputs& in,
                               const CausalAttentionDecodeCache& cache,
                               TensorView y, Workspace workspace) {
  Args a = ShapeOf(in);
  const int64_t N = in.q.shape[0];
  a.rows = static_cast<int>(cache.keys.shape[1]);
  a.q = BindBf16<const bf16>(in.q, N, a.H, a.D);
  a.k = BindBf16<const bf16>(in.k, N, a.Hkv, a.D);
  a.v = BindBf16<const bf16>(in.v, N, a.Hkv, a.D);
  a.y = BindBf16<bf16>(y, N, a.H, a.D);
  a.keys = BindCache(cache.keys, N, a);
  a.values = BindCache(cache.values, N, a);
  CARACAL_CHECK(cache.length != nullptr);
  a.length = cache.length;
  CARACAL_CHECK(in.cos.defined() == in.sin.defined());
  if (in.cos.defined()) {
    a.cos = BindTable(in.cos, a);
    a.sin = BindTable(in.sin, a);
  }
  const size_t bytes = CausalAttentionDecodeCudaWorkspaceBytes(in);
  CARACAL_CHECK(workspace.bytes >= bytes) << workspace.bytes << " of " << bytes;
  a.work = static_cast<float*>(workspace.data);
  if (N == 0) return;
  const auto stream = static_cast<cudaStream_t>(ctx.stream);
  const dim3 grid(a.parts, a.Hkv * a.head_blocks, static_cast<unsigned>(N));
  const auto launch = [&](auto heads) {
    cuda::LaunchEarly(Parts<heads()>, grid, dim3(kThreads), 0, stream, a);
  };
  switch (a.heads) {
    case 1:
      launch(std::integral_constant<int, 1>());
      break;
    case 2:
      launch(std::integral_constant<int, 2>());
      break;
    case 3:
      launch(std::integral_constant<int, 3>());
      break;
    default:
      launch(std::integral_constant<int, 4>());
  }
  cuda::LaunchEarly(Join, dim3(a.H, static_cast<unsigned>(N)), dim3(kThreads),
                    0, stream, a);
}

}  // namespace caracal::kernels
