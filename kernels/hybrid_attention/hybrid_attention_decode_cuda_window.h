// The softmax part of many sequences' heads: a block takes one sequence and up
// to eight query heads of a key head, whose keys and values it reads once; a
// warp takes 16 keys at a time, both products on tensor cores. Keys and values
// go from memory to the registers that products take them from. Exact products,
// fp32 sums: queries, keys and values are bf16, weights the sum of three such.
// Included only by hybrid_attention_decode_cuda_many.cu.
#ifndef CARACAL_KERNELS_HYBRID_ATTENTION_HYBRID_ATTENTION_DECODE_CUDA_WINDOW_H_
#define CARACAL_KERNELS_HYBRID_ATTENTION_HYBRID_ATTENTION_DECODE_CUDA_WINDOW_H_

#include <cfloat>

#include "kernels/common/cuda_early_launch.h"
#include "kernels/common/cuda_mma.h"
#include "kernels/hybrid_attention/hybrid_attention_decode_cuda_parts.h"

namespace caracal::kernels::cuda::decode {

inline constexpr int kGroup = 8;      // query heads
inline constexpr int kTileKeys = 16;  // of a warp

struct WindowShared {
  // The tokens', rotated: rows that 16-byte reads by eight lanes find in
  // different banks.
  bf16 q[kGroup][kManyMostD + 32];
  bf16 k[kManyMostD], v[kManyMostD];
  // What the warps have found, relative to their greatest scores.
  float top[kManyWarps][kGroup], den[kManyWarps][kGroup];
  float sums[1];  // [kManyWarps, heads, D]; then NearScratch of each warp
};

// x [D], z [F], phi of the query and of a key [Fout]
__host__ __device__ inline int NearScratch(const Args& a) {
  return a.D + a.F + 2 * a.Fout;
}
__host__ __device__ inline int HeadsOfGroup(const Args& a) {
  return a.H / a.Hkv < kGroup ? a.H / a.Hkv : kGroup;
}
__host__ __device__ inline int GroupsOf(const Args& a) {
  return (a.H / a.Hkv + kGroup - 1) / kGroup;
}
inline size_t WindowSharedBytes(const Args& a) {
  const int floats = max(HeadsOfGroup(a) * a.D, NearScratch(a));
  return sizeof(WindowShared) + kManyWarps * floats * sizeof(float);
}

// A sequence's keys that have softmax terms: sinks left of the window first,
// then the window; the token itself is the last of them.
struct WindowKeys {
  Head head;
  int far, count;

  __device__ __forceinline__ WindowKeys(const DecodeArgs& d, int sequence,
                                        int kv)
      : head(d, sequence, kv),
        far(min(d.a.sinks, head.start)),
        count(far + head.n + 1 - head.start) {}

  __device__ __forceinline__ int Position(int i) const {
    return i < far ? i : head.start + i - far;
  }
  __device__ __forceinline__ bool Cached(int i) const { return i < count - 1; }
};

// 16 keys and values from key i0 on, as the products have them in a lane, c
// being lane % 4 and g lane / 4: keys g and g + 8, columns 32 t + 8 c on;
// values of keys 2 c + {0, 1, 8, 9}, columns 64 h + 8 g on. Zeros beyond the
// last key.
struct TileRows {
  uint4 k[2][4], v[4][2];

  // But for the token's.
  __device__ __forceinline__ void Load(const DecodeArgs& d, int D,
                                       const WindowKeys& keys, int i0) {
    const int c = threadIdx.x % 4, g = threadIdx.x % 32 / 4;
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      const int i = i0 + 8 * r + g;
      const bf16* row = nullptr;
      if (keys.Cached(i)) row = keys.head.Key(d, keys.Position(i));
#pragma unroll
      for (int t = 0; t < 4; ++t) k[r][t] = Piece(row, 32 * t + 8 * c, D);
    }
#pragma unroll
    for (int r = 0; r < 4; ++r) {
      const int i = i0 + ValueOf(r, c);
      const bf16* row = nullptr;
      if (keys.Cached(i)) row = keys.head.Value(d, keys.Position(i));
#pragma unroll
      for (int h = 0; h < 2; ++h) v[r][h] = Piece(row, 64 * h + 8 * g, D);
    }
  }

  __device__ __forceinline__ void TakeToken(int D, int i, const bf16* key,
                                            const bf16* value) {
    const int c = threadIdx.x % 4, g = threadIdx.x % 32 / 4;
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      if (8 * r + g != i) continue;
#pragma unroll
      for (int t = 0; t < 4; ++t) {
        const int column = 32 * t + 8 * c;
        if (column < D) k[r][t] = *reinterpret_cast<const uint4*>(key + column);
      }
    }
#pragma unroll
    for (int r = 0; r < 4; ++r) {
      if (ValueOf(r, c) != i) continue;
#pragma unroll
      for (int h = 0; h < 2; ++h) {
        const int column = 64 * h + 8 * g;
        if (column < D) {
          v[r][h] = *reinterpret_cast<const uint4*>(value + column);
        }
      }
    }
  }

 private:
  static __device__ __forceinline__ int ValueOf(int r, int c) {
    return 2 * c + r % 2 + r / 2 * 8;
  }
  static __device__ __forceinline__ uint4 Piece(const bf16* row, int column,
                                                int D) {
    if (row == nullptr || column >= D) return {};
    return LoadPack(row + column, 0);
  }
};

__device__ __forceinline__ uint32_t Word(const uint4& x, int i) {
  return i == 0 ? x.x : i == 1 ? x.y : i == 2 ? x.z : x.w;
}

// What a warp knows of the keys it has seen. This lane has head g's greatest
// score and its share of the denominator; and of heads 2 c and 2 c + 1, in
// turn, the sums of columns 64 h + 8 g + 2 i + {0, 1}.
struct WarpPart {
  float top = -FLT_MAX, den = 0;
  float sum[2][4][4] = {};

  // `first`: of this warp.
  __device__ __forceinline__ void Add(const Args& a, int D,
                                      const WindowKeys& keys, int i0,
                                      bool first, const TileRows& rows,
                                      int count, int terms, float gamma,
                                      const WindowShared& shared) {
    const int c = threadIdx.x % 4, g = threadIdx.x % 32 / 4;
    float s[2][4] = {};  // of heads g and, zeros, g + 8
#pragma unroll
    for (int t = 0; t < 4; ++t) {
      uint4 q = {};
      if (g < count && 32 * t + 8 * c < D) {
        q = *reinterpret_cast<const uint4*>(&shared.q[g][32 * t + 8 * c]);
      }
      const uint32_t low[4] = {q.x, 0, q.y, 0}, high[4] = {q.z, 0, q.w, 0};
#pragma unroll
      for (int r = 0; r < 2; ++r) {
        Mma(s[r], low, rows.k[r][t].x, rows.k[r][t].y);
        Mma(s[r], high, rows.k[r][t].z, rows.k[r][t].w);
      }
    }
    const float root = rsqrtf(static_cast<float>(D));
    float weight[4] = {s[0][0], s[0][1], s[1][0], s[1][1]};
    float most = top;
#pragma unroll
    for (int e = 0; e < 4; ++e) {
      weight[e] *= root;
      if (i0 + KeyOf(e, c) < keys.count) most = fmaxf(most, weight[e]);
    }
    most = fmaxf(most, __shfl_xor_sync(~0u, most, 1));
    most = fmaxf(most, __shfl_xor_sync(~0u, most, 2));
    if (!first) {
      const float before = expf(top - most);
      den *= before;
      const float even = __shfl_sync(~0u, before, 8 * c);
      const float odd = __shfl_sync(~0u, before, 8 * c + 4);
#pragma unroll
      for (int h = 0; h < 2; ++h) {
#pragma unroll
        for (int i = 0; i < 4; ++i) {
          sum[h][i][0] *= even, sum[h][i][1] *= odd;
          sum[h][i][2] *= even, sum[h][i][3] *= odd;
        }
      }
    }
    top = most;
#pragma unroll
    for (int e = 0; e < 4; ++e) {
      const int key = i0 + KeyOf(e, c);
      // As SoftmaxTerm() has it.
      const int term = key < keys.far                 ? kFarSinkTerms
                       : keys.Position(key) < a.sinks ? kNearSinkTerms
                                                      : kNearTerms;
      const bool kept = key < keys.count && (terms & term);
      weight[e] = kept ? gamma * expf(weight[e] - most) : 0.0f;
      den += weight[e];
    }
    uint32_t b0[kSplit], b1[kSplit];
    SplitPair(weight[0], weight[1], b0);
    SplitPair(weight[2], weight[3], b1);
#pragma unroll
    for (int h = 0; h < 2; ++h) {
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        uint32_t v[4];
#pragma unroll
        for (int r = 0; r < 4; ++r) v[r] = Word(rows.v[r][h], i);
        const uint32_t values[4] = {
            LowHalves(v[0], v[1]), HighHalves(v[0], v[1]),
            LowHalves(v[2], v[3]), HighHalves(v[2], v[3])};
#pragma unroll
        for (int p = 0; p < kSplit; ++p) Mma(sum[h][i], values, b0[p], b1[p]);
      }
    }
  }

  __device__ __forceinline__ void Leave(int D, int count,
                                        WindowShared& shared) {
    const int c = threadIdx.x % 4, g = threadIdx.x % 32 / 4;
    const int warp = threadIdx.x / 32;
    den += __shfl_xor_sync(~0u, den, 1);
    den += __shfl_xor_sync(~0u, den, 2);
    if (c == 0) shared.top[warp][g] = top, shared.den[warp][g] = den;
#pragma unroll
    for (int odd = 0; odd < 2; ++odd) {
      const int head = 2 * c + odd;
      if (head >= count) continue;
      float* const to = shared.sums + (warp * count + head) * D;
#pragma unroll
      for (int h = 0; h < 2; ++h) {
        const int column = 64 * h + 8 * g;
        if (column >= D) continue;
#pragma unroll
        for (int i = 0; i < 4; ++i) {
          *reinterpret_cast<float2*>(to + column + 2 * i) = {
              sum[h][i][odd], sum[h][i][2 + odd]};
        }
      }
    }
  }

 private:
  static __device__ __forceinline__ int KeyOf(int e, int c) {
    return 2 * c + e % 2 + e / 2 * 8;
  }
};

// phi of x [D], by a warp. z [F] is its scratch.
__device__ __forceinline__ void WarpFeatures(const Args& a, int map, bool key,
                                             const float* x, float* z,
                                             float* phi) {
  const int lane = threadIdx.x % 32;
  const float* const weight =
      (key ? a.weight_k : a.weight_q) + map * int64_t{a.D} * a.F;
  const float* const bias = key ? a.bias_k : a.bias_q;
  for (int f = lane; f < a.F; f += 32) {
    float sum = bias == nullptr ? 0.0f : bias[map * a.F + f];
    for (int i = 0; i < a.D; ++i) sum += x[i] * __ldg(weight + i * a.F + f);
    z[f] = sum;
  }
  __syncwarp();
  for (int half = 0; half < a.Fout / a.F; ++half) {
    FeatureHalf(a.map, half, a.F, z, phi + half * a.F, lane);
  }
  __syncwarp();
}

// Component modes look at the linear terms of near keys, too: adds those of a
// head to its work. A warp takes a key at a time.
__device__ __noinline__ void AddNearTerms(const DecodeArgs& d, int sequence,
                                          int kv, int head, int g, float* work,
                                          WindowShared& shared) {
  const Args& a = d.a;
  const WindowKeys keys(d, sequence, kv);
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  const int map = MapOf(a, head);
  const float alpha = Alpha(a, Gamma(a, head));
  constexpr int kEach = kManyMostD / 32;
  float* const x = shared.sums + warp * NearScratch(a);
  float* const z = x + a.D;
  float* const phi_q = z + a.F;
  float* const phi_k = phi_q + a.Fout;
  __syncthreads();
  for (int i = lane; i < a.D; i += 32) x[i] = __bfloat162float(shared.q[g][i]);
  __syncwarp();
  WarpFeatures(a, map, false, x, z, phi_q);
  float sum[kEach] = {}, den = 0;
  for (int i = warp; i < keys.count; i += kManyWarps) {
    const bool cached = keys.Cached(i);
    const int j = keys.Position(i);
    const bf16* const key = cached ? keys.head.Key(d, j) : shared.k;
    const bf16* const value = cached ? keys.head.Value(d, j) : shared.v;
    for (int c = lane; c < a.D; c += 32) x[c] = __bfloat162float(key[c]);
    __syncwarp();
    WarpFeatures(a, map, true, x, z, phi_k);
    float dot = 0;
    for (int f = lane; f < a.Fout; f += 32) dot += phi_q[f] * phi_k[f];
    dot = alpha * WarpTotal(dot);
    den += dot;
#pragma unroll
    for (int e = 0; e < kEach; ++e) {
      const int c = lane + 32 * e;
      if (c < a.D) sum[e] += dot * __bfloat162float(value[c]);
    }
  }
  __syncwarp();
#pragma unroll
  for (int e = 0; e < kEach; ++e) {
    if (lane + 32 * e < a.D) x[lane + 32 * e] = sum[e];
  }
  if (lane == 0) shared.den[warp][0] = den;
  __syncthreads();
  for (int c = threadIdx.x; c <= a.D; c += kManyThreads) {
    float total = 0;
    for (int w = 0; w < kManyWarps; ++w) {
      total += c < a.D ? shared.sums[w * NearScratch(a) + c] : shared.den[w][0];
    }
    work[2 * a.Fout + c] += total;
  }
}

// The tokens' queries and key, rotated, and value, to where they are shared.
__device__ __forceinline__ void LoadTokens(const DecodeArgs& d, int D,
                                           const Head& h, int first, int count,
                                           WindowShared& shared) {
  constexpr int kLanes = kManyMostD / 8;  // of a token
  const int i = threadIdx.x % kLanes;
  if (8 * i >= D) return;
  for (int row = threadIdx.x / kLanes; row < count + 2;
       row += kManyThreads / kLanes) {
    if (row == count + 1) {
      *reinterpret_cast<uint4*>(shared.v + 8 * i) =
          LoadPack(At(d.v, h.sequence, h.kv), i);
      continue;
    }
    TokenPairs pairs;
    pairs.Load(row < count ? At(d.q, h.sequence, first + row)
                           : At(d.k, h.sequence, h.kv),
               D, d.cos, d.sin, h.n, 4 * i);
    pairs.Store(D, 4 * i, row < count ? shared.q[row] : shared.k);
  }
}

// What the warps have left, to the work of head `g`; by a warp.
__device__ __forceinline__ void JoinParts(const Args& a, int D, int g,
                                          int count, float* work,
                                          const WindowShared& shared) {
  float most = shared.top[0][g], factor[kManyWarps], den = 0;
#pragma unroll
  for (int w = 1; w < kManyWarps; ++w) most = fmaxf(most, shared.top[w][g]);
#pragma unroll
  for (int w = 0; w < kManyWarps; ++w) {
    factor[w] = expf(shared.top[w][g] - most);
    den += factor[w] * shared.den[w][g];
  }
  const int lane = threadIdx.x % 32;
  if (lane == 0) work[2 * a.Fout + D] = den;
  if (4 * lane >= D) return;
  float sum[4] = {};
#pragma unroll
  for (int w = 0; w < kManyWarps; ++w) {
    const float4 x = *reinterpret_cast<const float4*>(
        shared.sums + (w * count + g) * D + 4 * lane);
    sum[0] += factor[w] * x.x, sum[1] += factor[w] * x.y;
    sum[2] += factor[w] * x.z, sum[3] += factor[w] * x.w;
  }
#pragma unroll
  for (int i = 0; i < 4; ++i) work[2 * a.Fout + 4 * lane + i] = sum[i];
}

// Into the work of heads [first, first + count), which share key head kv: the
// weighted sum of values and the denominator. The first ones put the token into
// the cache. kD is D, where the compiler knows it, or 0.
template <int kD>
__device__ __forceinline__ void WindowSums(const DecodeArgs& d, int sequence,
                                           int kv, int first, int count,
                                           bool puts, WindowShared& shared) {
  const Args& a = d.a;
  const int D = kD > 0 ? kD : a.D;
  const int warp = threadIdx.x / 32, g = threadIdx.x % 32 / 4;
  const WindowKeys keys(d, sequence, kv);
  TileRows rows;
  int i0 = warp * kTileKeys;
  rows.Load(d, D, keys, i0);  // The kernel before has no part in it.
  const int64_t slot = int64_t{sequence} * a.H + first;
  const int terms = g < count ? a.terms[slot + g] : 0;
  const float gamma = Gamma(a, first + min(g, count - 1));
  AwaitEarlier();

  LoadTokens(d, D, keys.head, first, count, shared);
  __syncthreads();
  WarpPart part;
  for (bool once = true; i0 < keys.count; once = false) {
    if (keys.count - 1 < i0 + kTileKeys) {
      rows.TakeToken(D, keys.count - 1 - i0, shared.k, shared.v);
    }
    part.Add(a, D, keys, i0, once, rows, count, terms, gamma, shared);
    i0 += kManyWarps * kTileKeys;
    if (i0 < keys.count) rows.Load(d, D, keys, i0);
  }
  part.Leave(D, count, shared);
  __syncthreads();

  float* const work = d.work + slot * WorkOf(a);
  for (int i = warp; i < count; i += kManyWarps) {
    JoinParts(a, D, i, count, work + i * WorkOf(a), shared);
  }
  for (int i = 0; i < count; ++i) {
    if (a.terms[slot + i] & kLinearNearTerms) {
      AddNearTerms(d, sequence, kv, first + i, i, work + i * WorkOf(a), shared);
    }
  }
  if (puts) PutToken<kManyThreads>(d, keys.head, shared.k);
}

}  // namespace caracal::kernels::cuda::decode

#endif  // CARACAL_KERNELS_HYBRID_ATTENTION_HYBRID_ATTENTION_DECODE_CUDA_WINDOW_H_
