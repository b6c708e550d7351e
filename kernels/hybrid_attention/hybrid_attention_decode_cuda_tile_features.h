// Features of many sequences' tokens: a block takes a head's queries, or the
// keys that leave its windows, and tiles of 16 sequences; a tile's projection
// is a product on tensor cores whose maps' columns stay in the registers. Exact
// products, fp32 sums: tokens are bf16, maps the sum of three such. Included
// only by hybrid_attention_decode_cuda_many.cu.
#ifndef CARACAL_KERNELS_HYBRID_ATTENTION_HYBRID_ATTENTION_DECODE_CUDA_TILE_FEATURES_H_
#define CARACAL_KERNELS_HYBRID_ATTENTION_HYBRID_ATTENTION_DECODE_CUDA_TILE_FEATURES_H_

#include "kernels/common/cuda_early_launch.h"
#include "kernels/common/cuda_mma.h"
#include "kernels/hybrid_attention/hybrid_attention_decode_cuda_parts.h"

namespace caracal::kernels::cuda::decode {

inline constexpr int kTileSequences = 16;
inline constexpr int kColumnsAtOnce = 16 * kManyWarps;  // of a map

struct FeatureShared {
  // Rows that 16-byte reads by eight lanes find in different banks.
  bf16 x[kTileSequences][kManyMostD + 32];
  float z[1];  // [kTileSequences, ZStride(F)]
};
// Four rows are in different banks.
__host__ __device__ constexpr int ZStride(int F) {
  return (F + 31) / 32 * 32 + 8;
}

inline size_t FeatureSharedBytes(const Args& a) {
  return sizeof(FeatureShared) + kTileSequences * ZStride(a.F) * sizeof(float);
}

// A lane's part of the columns f and f + 1 of a map [D, F]: rows
// 32 t + 8 (lane % 4) + e.
struct MapColumns {
  float2 w[4][8];

  __device__ __forceinline__ void Load(const float* weight, int D, int F,
                                       int f) {
    const int row0 = threadIdx.x % 4 * 8;
    const float* const first = weight + row0 * F + f;
#pragma unroll
    for (int t = 0; t < 4; ++t) {
#pragma unroll
      for (int e = 0; e < 8; ++e) {
        const float* const at = first + (32 * t + e) * F;
        w[t][e] = {};
        if (32 * t + row0 + e >= D || f >= F) continue;
        if (F % 2 == 0) {
          w[t][e] = __ldg(reinterpret_cast<const float2*>(at));
        } else {
          w[t][e].x = __ldg(at);
          if (f + 1 < F) w[t][e].y = __ldg(at + 1);
        }
      }
    }
  }
};

// The compiler would keep what it splits, which is more, for the next tile.
__device__ __forceinline__ void Pin(MapColumns& columns) {
#pragma unroll
  for (int t = 0; t < 4; ++t) {
#pragma unroll
    for (int e = 0; e < 8; ++e) {
      asm volatile("" : "+f"(columns.w[t][e].x), "+f"(columns.w[t][e].y));
    }
  }
}

// z [sequence, F] of 16 columns, of which this lane has f and f + 1.
__device__ __forceinline__ void ProjectTile(const MapColumns& columns,
                                            const float* bias, int D, int F,
                                            int f, FeatureShared& shared) {
  const int c = threadIdx.x % 4, g = threadIdx.x % 32 / 4;
  float z[2][4] = {};  // of every second column each
#pragma unroll
  for (int t = 0; t < 4; ++t) {
    const int column = 32 * t + 8 * c;
    uint4 low = {}, high = {};
    if (column < D) {
      low = *reinterpret_cast<const uint4*>(&shared.x[g][column]);
      high = *reinterpret_cast<const uint4*>(&shared.x[g + 8][column]);
    }
    const uint32_t x[2][4] = {{low.x, high.x, low.y, high.y},
                              {low.z, high.z, low.w, high.w}};
#pragma unroll
    for (int s = 0; s < 2; ++s) {
      const float2* const w = &columns.w[t][4 * s];
      uint32_t b0[2][kSplit], b1[2][kSplit];
      SplitPair(w[0].x, w[1].x, b0[0]);
      SplitPair(w[2].x, w[3].x, b1[0]);
      SplitPair(w[0].y, w[1].y, b0[1]);
      SplitPair(w[2].y, w[3].y, b1[1]);
#pragma unroll
      for (int i = 0; i < kSplit; ++i) {
        Mma(z[0], x[s], b0[0][i], b1[0][i]);
        Mma(z[1], x[s], b0[1][i], b1[1][i]);
      }
    }
  }
  // This lane's sums are those of four neighbouring columns.
  const int first = f - 2 * g + 4 * c;
  if (first >= F) return;
#pragma unroll
  for (int r = 0; r < 2; ++r) {
    float four[4] = {z[0][2 * r], z[1][2 * r], z[0][2 * r + 1],
                     z[1][2 * r + 1]};
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      if (bias != nullptr && first + i < F) four[i] += __ldg(bias + first + i);
    }
    *reinterpret_cast<float4*>(&shared.z[(g + 8 * r) * ZStride(F) + first]) = {
        four[0], four[1], four[2], four[3]};
  }
}

// The tokens of the sequences [begin, end), rotated, into x: queries, or keys
// that leave. Zeros where there is none.
__device__ __forceinline__ void LoadTile(const DecodeArgs& d, int D, int head,
                                         bool keys, int begin, int end,
                                         FeatureShared& shared) {
  const Args& a = d.a;
  constexpr int kLanes = kManyMostD / 8;  // of a token, each four pairs
  constexpr int kEach = kTileSequences * kLanes / kManyThreads;
  const int kv = KvHead(a, head);
  const int row = threadIdx.x / kLanes, i = threadIdx.x % kLanes * 4;
  if (2 * i >= D) return;
  TokenPairs pairs[kEach];
#pragma unroll
  for (int p = 0; p < kEach; ++p) {
    const int sequence = begin + row + p * (kManyThreads / kLanes);
    pairs[p] = {};
    if (sequence >= end) continue;
    const int n = d.length[sequence];
    const int leaving = max(Start(a, n), a.sinks);
    if (!keys) {
      pairs[p].Load(At(d.q, sequence, head), D, d.cos, d.sin, n, i);
    } else if (leaving < Start(a, n + 1) && leaving < n) {
      const int64_t at =
          int64_t{sequence} * d.ring_rows + leaving % d.ring_rows;
      pairs[p].Load(d.ring_k + (at * a.Hkv + kv) * D, D, nullptr, nullptr, 0,
                    i);
    } else if (leaving < Start(a, n + 1)) {
      // In a window of one key the token itself leaves.
      pairs[p].Load(At(d.k, sequence, kv), D, d.cos, d.sin, n, i);
    }
  }
#pragma unroll
  for (int p = 0; p < kEach; ++p) {
    pairs[p].Store(D, i, shared.x[row + p * (kManyThreads / kLanes)]);
  }
}

// Into the work of a tile's sequences, up to `end`: alpha phi_q, or (`keys`)
// phi_k of the key that leaves; zeros where they have no part.
__device__ __forceinline__ void StoreFeatures(const DecodeArgs& d, int F,
                                              int head, bool keys, int begin,
                                              int end, float scale,
                                              const FeatureShared& shared) {
  const Args& a = d.a;
  constexpr int kLanes = 4;  // of a half of a token
  static_assert(kManyThreads == 2 * kTileSequences * kLanes);
  const int halves = a.Fout / F, group = threadIdx.x / kLanes;
  const int half = group % halves, token = group / halves;
  const int sequence = begin + token;
  float* to = nullptr;
  bool part = false;
  if (token < kTileSequences && sequence < end) {
    const int64_t slot = int64_t{sequence} * a.H + head;
    const int n = d.length[sequence];
    part = keys ? max(Start(a, n), a.sinks) < Start(a, n + 1)
                : (a.terms[slot] & kLinearPastTerms) != 0;
    to = d.work + slot * WorkOf(a) + (keys ? a.Fout : 0) + half * F;
  }
  FeatureHalf<kLanes>(a.map, half, F,
                      shared.z + token % kTileSequences * ZStride(F),
                      threadIdx.x % kLanes, [&](int f, float x) {
                        if (to != nullptr) to[f] = part ? scale * x : 0.0f;
                      });
}

// For the sequences [begin, end). kD and kF are the shape's, where the compiler
// knows it, or 0.
template <int kD, int kF>
__device__ __forceinline__ void TileFeatures(const DecodeArgs& d, int head,
                                             bool keys, int begin, int end,
                                             FeatureShared& shared) {
  const Args& a = d.a;
  const int D = kD > 0 ? kD : a.D, F = kF > 0 ? kF : a.F;
  const int map = MapOf(a, head);
  const int f0 = threadIdx.x / 32 * 16 + threadIdx.x % 32 / 4 * 2;
  const float* const weight =
      (keys ? a.weight_k : a.weight_q) + map * int64_t{D} * F;
  const float* bias = keys ? a.bias_k : a.bias_q;
  if (bias != nullptr) bias += int64_t{map} * F;
  MapColumns columns;
  columns.Load(weight, D, F, f0);
  AwaitEarlier();
  const float scale = keys ? 1.0f : Alpha(a, Gamma(a, head));
  for (int tile = begin; tile < end; tile += kTileSequences) {
    LoadTile(d, D, head, keys, tile, end, shared);
    __syncthreads();
    for (int f = f0; f < f0 + F; f += kColumnsAtOnce) {
      if (F > kColumnsAtOnce) columns.Load(weight, D, F, f);
      Pin(columns);
      ProjectTile(columns, bias, D, F, f, shared);
    }
    __syncthreads();
    StoreFeatures(d, F, head, keys, tile, end, scale, shared);
  }
}

}  // namespace caracal::kernels::cuda::decode

#endif  // CARACAL_KERNELS_HYBRID_ATTENTION_HYBRID_ATTENTION_DECODE_CUDA_TILE_FEATURES_H_
