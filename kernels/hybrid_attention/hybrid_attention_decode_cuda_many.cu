// The first of two kernels for many sequences: all but the states. Some blocks
// make features, of a head's queries or keys and a tile of sequences, for which
// the map is read once; the others make softmax weights and their values' sums,
// of one sequence and up to four query heads of a key head, which its keys and
// values are read once for. Neither waits for the other.
#include <algorithm>
#include <cfloat>

#include "kernels/common/cuda_check.h"
#include "kernels/common/cuda_early_launch.h"
#include "kernels/hybrid_attention/hybrid_attention_decode_cuda_parts.h"

namespace caracal::kernels::cuda::decode {
namespace {

constexpr int kMostD = 128;
constexpr int kSequences = 16;  // of a tile
constexpr int kLane = 4;        // of them, that a thread projects together
constexpr int kGroup = 4;       // query heads

constexpr int kColumns = 64;  // of a map, that lie in shared memory

struct FeatureShared {
  float x[kMostD][kSequences];  // tokens, a column each
  float w[kMostD][kColumns];
  float z[1];  // [kSequences, max(F, D)]
};
static_assert(kWarps * 2 * kMostFeatures <= kMostD * kColumns);

// Columns [begin, begin + count) of a map [D, F].
__device__ __forceinline__ void LoadColumns(const Args& a, const float* weight,
                                            int begin, int count,
                                            FeatureShared& shared) {
  if (a.F % 4 == 0) {
    const int packs = count / 4;
    for (int i = threadIdx.x; i < a.D * packs; i += kThreads) {
      const int row = i / packs, c = i % packs * 4;
      *reinterpret_cast<float4*>(&shared.w[row][c]) =
          __ldg(reinterpret_cast<const float4*>(weight + int64_t{row} * a.F +
                                                begin + c));
    }
    return;
  }
  for (int i = threadIdx.x; i < a.D * count; i += kThreads) {
    const int row = i / count, c = i % count;
    shared.w[row][c] = __ldg(weight + int64_t{row} * a.F + begin + c);
  }
}

// z [sequence, F] = x W + b.
__device__ __forceinline__ void ProjectTile(const Args& a, const float* weight,
                                            const float* bias,
                                            FeatureShared& shared) {
  for (int begin = 0; begin < a.F; begin += kColumns) {
    const int count = min(kColumns, a.F - begin);
    __syncthreads();
    LoadColumns(a, weight, begin, count, shared);
    __syncthreads();
    for (int item = threadIdx.x; item < count * (kSequences / kLane);
         item += kThreads) {
      const int c = item % count, s = item / count * kLane;
      const float start = bias == nullptr ? 0.0f : __ldg(bias + begin + c);
      float sum[kLane] = {start, start, start, start};
#pragma unroll 8
      for (int i = 0; i < a.D; ++i) {
        const float w = shared.w[i][c];
        const float4 x = *reinterpret_cast<const float4*>(&shared.x[i][s]);
        sum[0] += w * x.x, sum[1] += w * x.y;
        sum[2] += w * x.z, sum[3] += w * x.w;
      }
#pragma unroll
      for (int l = 0; l < kLane; ++l) {
        shared.z[(s + l) * a.F + begin + c] = sum[l];
      }
    }
  }
}

// Into the work of the sequences [begin, end): alpha phi_q, or (`keys`) phi_k
// of the key that leaves; zeros where they have no part.
__device__ __forceinline__ void TileFeatures(const DecodeArgs& d, int head,
                                             bool keys, int begin, int end,
                                             FeatureShared& shared) {
  const Args& a = d.a;
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  const int kv = KvHead(a, head), map = MapOf(a, head);
  const float* const weight =
      (keys ? a.weight_k : a.weight_q) + map * int64_t{a.D} * a.F;
  for (int i = 32 * threadIdx.x; i < a.D * a.F; i += 32 * kThreads) {
    FetchLine(weight + i);
  }
  AwaitEarlier();
  for (int s = warp; s < kSequences; s += kWarps) {
    float* const token = shared.z + warp * a.D;
    const int sequence = begin + s;
    for (int i = lane; i < a.D; i += 32) token[i] = 0;
    __syncwarp();
    if (sequence < end) {
      const int n = d.length[sequence];
      const int leaving = max(Start(a, n), a.sinks);
      if (!keys) {
        RotateToken(At(d.q, sequence, head), a.D, d.cos, d.sin, n, lane, 32,
                    token);
      } else if (leaving < Start(a, n + 1) && leaving < n) {
        const int64_t row =
            int64_t{sequence} * d.ring_rows + leaving % d.ring_rows;
        const bf16* const key = d.ring_k + (row * a.Hkv + kv) * a.D;
        for (int i = lane; i < a.D; i += 32) {
          token[i] = __bfloat162float(key[i]);
        }
      } else if (leaving < Start(a, n + 1)) {
        // In a window of one key the token itself leaves.
        RotateToken(At(d.k, sequence, kv), a.D, d.cos, d.sin, n, lane, 32,
                    token);
      }
    }
    __syncwarp();
    for (int i = lane; i < a.D; i += 32) shared.x[i][s] = token[i];
    __syncwarp();
  }
  const float* const bias = keys ? a.bias_k : a.bias_q;
  ProjectTile(a, weight, bias == nullptr ? nullptr : bias + int64_t{map} * a.F,
              shared);
  __syncthreads();
  const float scale = keys ? 1.0f : Alpha(a, Gamma(a, head));
  float* const phi = &shared.w[0][0] + warp * 2 * kMostFeatures;
  for (int s = warp; s < kSequences && begin + s < end; s += kWarps) {
    const int sequence = begin + s, n = d.length[sequence];
    const int64_t slot = int64_t{sequence} * a.H + head;
    for (int half = 0; half < a.Fout / a.F; ++half) {
      FeatureHalf(a.map, half, a.F, shared.z + s * a.F, phi + half * a.F, lane);
    }
    __syncwarp();
    const bool part = keys ? max(Start(a, n), a.sinks) < Start(a, n + 1)
                           : (a.terms[slot] & kLinearPastTerms) != 0;
    float* const work = d.work + slot * WorkOf(a) + (keys ? a.Fout : 0);
    for (int f = lane; f < a.Fout; f += 32) {
      work[f] = part ? scale * phi[f] : 0.0f;
    }
    __syncwarp();
  }
}

struct WindowShared {
  Shared one;  // of one head at a time
  float q[kGroup][kMostD];
  float sums[kWarps][kGroup][kMostD];
  float den[kGroup];
  float weight[1];  // [kGroup, keys], then what near keys' features take
};

// s_nj of all keys into weight[head, 0 .. keys).
__device__ __forceinline__ void GroupScores(const DecodeArgs& d,
                                            const Head& head, int far, int keys,
                                            WindowShared& shared) {
  const int packs = d.a.D / 8, width = PowerOfTwo(packs);
  const int lane = threadIdx.x % 32, pack = lane % width;
  const int at_once = kWarps * (32 / width);
  const int first = threadIdx.x / 32 * (32 / width) + lane / width;
  const float root = rsqrtf(static_cast<float>(d.a.D));
  float q[kGroup][8] = {};
  if (pack < packs) {
#pragma unroll
    for (int g = 0; g < kGroup; ++g) {
#pragma unroll
      for (int c = 0; c < 8; ++c) q[g][c] = shared.q[g][8 * pack + c];
    }
  }
#pragma unroll 4
  for (int i0 = 0; i0 < keys; i0 += at_once) {
    const int i = i0 + first;
    float sum[kGroup] = {};
    if (i < keys && pack < packs) {
      const int j = i < far ? i : head.start + i - far;
      float x[8];
      if (j < head.n) {
        Unpack<bf16>(LoadPack(head.Key(d, j), pack), x);
      } else {
#pragma unroll
        for (int c = 0; c < 8; ++c) x[c] = shared.one.k[8 * pack + c];
      }
#pragma unroll
      for (int g = 0; g < kGroup; ++g) {
#pragma unroll
        for (int c = 0; c < 8; ++c) sum[g] += x[c] * q[g][c];
      }
    }
    for (int m = width / 2; m > 0; m /= 2) {
#pragma unroll
      for (int g = 0; g < kGroup; ++g) {
        sum[g] += __shfl_xor_sync(~0u, sum[g], m);
      }
    }
    if (pack == 0 && i < keys) {
#pragma unroll
      for (int g = 0; g < kGroup; ++g) {
        shared.weight[g * keys + i] = sum[g] * root;
      }
    }
  }
}

// Each warp has sums[warp], of weight[head, i] v_i.
__device__ __forceinline__ void GroupValues(const DecodeArgs& d,
                                            const Head& head, int far, int keys,
                                            WindowShared& shared) {
  const int packs = d.a.D / 8, width = PowerOfTwo(packs);
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  const int pack = lane % width;
  const int step = kWarps * (32 / width);
  const bool mine = pack < packs;
  float sum[kGroup][8] = {};
#pragma unroll 4
  for (int i = warp * (32 / width) + lane / width; i < keys; i += step) {
    if (!mine) continue;
    const int j = i < far ? i : head.start + i - far;
    float x[8];
    Unpack<bf16>(LoadPack(head.Value(d, j), pack), x);
#pragma unroll
    for (int g = 0; g < kGroup; ++g) {
      const float w = shared.weight[g * keys + i];
      if (w == 0) continue;  // of no term, whatever the value is
#pragma unroll
      for (int c = 0; c < 8; ++c) sum[g][c] += w * x[c];
    }
  }
#pragma unroll
  for (int g = 0; g < kGroup; ++g) {
    for (int m = 16; m >= width; m /= 2) {
#pragma unroll
      for (int c = 0; c < 8; ++c) {
        sum[g][c] += __shfl_xor_sync(~0u, sum[g][c], m);
      }
    }
    if (mine && lane < width) {
#pragma unroll
      for (int c = 0; c < 8; ++c) {
        shared.sums[warp][g][8 * pack + c] = sum[g][c];
      }
    }
  }
}

// Component modes look at the linear terms of near keys, too.
__device__ __noinline__ void AddNearTerms(const DecodeArgs& d, const Head& h,
                                          int far, int keys, int head, int g,
                                          WindowShared& shared) {
  const Args& a = d.a;
  const float alpha = Alpha(a, Gamma(a, head));
  float* const phi = shared.weight + kGroup * keys;  // [Fout]
  float* const x = phi + a.Fout;                     // [D]
  Features(a, head, shared.q[g], nullptr, shared.one, shared.one.phi_q,
           nullptr);
  for (int i = 0; i < keys; ++i) {
    const int j = i < far ? i : h.start + i - far;
    __syncthreads();
    LoadKey(d, h, j, shared.one.k, x);
    Features(a, head, nullptr, x, shared.one, nullptr, phi);
    float dot = 0;
    for (int f = threadIdx.x % 32; f < a.Fout; f += 32) {
      dot += shared.one.phi_q[f] * phi[f];
    }
    dot = alpha * WarpTotal(dot);
    if (threadIdx.x == 0) {
      shared.weight[g * keys + i] += dot;
      shared.den[g] += dot;
    }
  }
}

// Into the work of heads [first, first + count), which share key head kv: the
// weighted sum of values and the denominator. The first ones put the token into
// the cache.
__device__ __forceinline__ void WindowSums(const DecodeArgs& d, int sequence,
                                           int kv, int first, int count,
                                           bool puts, WindowShared& shared) {
  const Args& a = d.a;
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  const int n = d.length[sequence];
  Head h;
  h.n = n, h.start = Start(a, n), h.sequence = sequence, h.kv = kv;
  h.first = h.start % d.ring_rows;
  h.ring_row = int64_t{sequence} * d.ring_rows;
  h.sink_row = int64_t{sequence} * d.sink_rows;
  const int far = min(a.sinks, h.start), keys = far + n + 1 - h.start;

  for (int i = threadIdx.x; i < keys - 1; i += kThreads) {
    FetchLine(h.Value(d, i < far ? i : h.start + i - far));
  }
  for (int g = warp; g <= kGroup; g += kWarps) {
    if (g == kGroup) {
      RotateToken(At(d.k, sequence, kv), a.D, d.cos, d.sin, n, lane, 32,
                  shared.one.k);
    } else if (g < count) {
      RotateToken(At(d.q, sequence, first + g), a.D, d.cos, d.sin, n, lane, 32,
                  shared.q[g]);
    } else {
      for (int i = lane; i < a.D; i += 32) shared.q[g][i] = 0;
    }
  }
  __syncthreads();
  GroupScores(d, h, far, keys, shared);
  __syncthreads();
  if (warp < kGroup) {
    float* const weight = shared.weight + warp * keys;
    const int head = min(first + warp, a.H - 1);
    const int terms =
        warp < count ? a.terms[int64_t{sequence} * a.H + head] : 0;
    const float gamma = Gamma(a, head);
    float most = -FLT_MAX, den = 0;
    for (int i = lane; i < keys; i += 32) most = fmaxf(most, weight[i]);
    for (int m = 16; m > 0; m /= 2) {
      most = fmaxf(most, __shfl_xor_sync(~0u, most, m));
    }
    for (int i = lane; i < keys; i += 32) {
      const int j = i < far ? i : h.start + i - far;
      const bool kept = SoftmaxTerm(a, terms, h.start, j);
      const float w = kept ? gamma * expf(weight[i] - most) : 0.0f;
      weight[i] = w;
      den += w;
    }
    den = WarpTotal(den);
    if (lane == 0) shared.den[warp] = den;
  }
  __syncthreads();
  for (int g = 0; g < count; ++g) {
    if (a.terms[int64_t{sequence} * a.H + first + g] & kLinearNearTerms) {
      AddNearTerms(d, h, far, keys, first + g, g, shared);
    }
  }
  __syncthreads();
  GroupValues(d, h, far, keys, shared);
  __syncthreads();
  for (int i = threadIdx.x; i < count * a.D; i += kThreads) {
    const int g = i / a.D, c = i % a.D;
    float sum = 0;
#pragma unroll
    for (int w = 0; w < kWarps; ++w) sum += shared.sums[w][g][c];
    float* const work =
        d.work + (int64_t{sequence} * a.H + first + g) * WorkOf(a);
    work[2 * a.Fout + c] = sum;
    if (c == 0) work[2 * a.Fout + a.D] = shared.den[g];
  }
  if (puts) PutToken(d, h, shared.one.k);
}

__host__ __device__ __forceinline__ int GroupsOf(const Args& a) {
  return (a.H / a.Hkv + kGroup - 1) / kGroup;
}

struct ManyArgs {
  DecodeArgs d;
  int sequences, tiles;
};

__global__ void __launch_bounds__(kThreads, 3)
    Prepare(const __grid_constant__ ManyArgs many) {
  extern __shared__ __align__(16) char memory[];
  const DecodeArgs& d = many.d;
  const Args& a = d.a;
  int block = blockIdx.x;
  if (block < 2 * a.H * many.tiles) {
    const int begin = block / (2 * a.H) * kSequences;
    TileFeatures(d, block / 2 % a.H, block % 2 == 1, begin,
                 min(begin + kSequences, many.sequences),
                 *reinterpret_cast<FeatureShared*>(memory));
    return;
  }
  block -= 2 * a.H * many.tiles;
  AwaitEarlier();
  const int groups = GroupsOf(a), group = block % groups;
  const int kv = block / groups % a.Hkv, sequence = block / groups / a.Hkv;
  const int heads = a.H / a.Hkv;
  WindowSums(d, sequence, kv, kv * heads + group * kGroup,
             min(kGroup, heads - group * kGroup), group == 0,
             *reinterpret_cast<WindowShared*>(memory));
}

}  // namespace

size_t PrepareSharedBytes(const Args& a, int64_t window_keys) {
  const size_t window = sizeof(WindowShared) +
                        (kGroup * window_keys + a.Fout + a.D) * sizeof(float);
  const size_t features =
      sizeof(FeatureShared) + kSequences * std::max(a.F, a.D) * sizeof(float);
  return std::max(window, features);
}

void LaunchPrepare(const DecodeArgs& d, int64_t sequences, int64_t window_keys,
                   cudaStream_t stream) {
  const Args& a = d.a;
  const size_t bytes = PrepareSharedBytes(a, window_keys);
  CARACAL_CUDA_CHECK(cudaFuncSetAttribute(
      Prepare, cudaFuncAttributeMaxDynamicSharedMemorySize, bytes));
  const ManyArgs many = {
      d, static_cast<int>(sequences),
      static_cast<int>((sequences + kSequences - 1) / kSequences)};
  const int64_t blocks =
      int64_t{2} * a.H * many.tiles + sequences * a.Hkv * GroupsOf(a);
  LaunchEarly(Prepare, dim3(static_cast<unsigned>(blocks)), dim3(kThreads),
              bytes, stream, many);
}

}  // namespace caracal::kernels::cuda::decode
