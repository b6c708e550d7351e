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
  float phi[kManyWarps][kMostFeatures];  // half of a token's
  float z[1];                            // [kTileSequences, ZStride(F)]
};
// As x's, and a multiple of four.
__host__ __device__ constexpr int ZStride(int F) {
  return (F + 3) / 4 * 4 + 16;
}

inline size_t FeatureSharedBytes(const Args& a) {
  return sizeof(FeatureShared) + kTileSequences * ZStride(a.F) * sizeof(float);
}

// A lane's part of a map's columns f and f + 1: rows 32 t + 8 (lane % 4) + e.
struct MapColumns {
  float2 w[4][8];

  __device__ __forceinline__ void Load(const Args& a, const float* weight,
                                       int f) {
    const int row0 = threadIdx.x % 4 * 8;
#pragma unroll
    for (int t = 0; t < 4; ++t) {
#pragma unroll
      for (int e = 0; e < 8; ++e) {
        const int row = 32 * t + row0 + e;
        const float* const at = weight + row * a.F + f;
        w[t][e] = {};
        if (row >= a.D || f >= a.F) continue;
        if (a.F % 2 == 0) {
          w[t][e] = __ldg(reinterpret_cast<const float2*>(at));
        } else {
          w[t][e].x = __ldg(at);
          if (f + 1 < a.F) w[t][e].y = __ldg(at + 1);
        }
      }
    }
  }
};

// z [sequence, F] of 16 columns, of which this lane has f and f + 1.
__device__ __forceinline__ void ProjectTile(const Args& a,
                                            const MapColumns& columns,
                                            const float* bias, int f,
                                            FeatureShared& shared) {
  const int c = threadIdx.x % 4, g = threadIdx.x % 32 / 4;
  float z[2][4] = {};  // of every second column each
#pragma unroll
  for (int t = 0; t < 4; ++t) {
    const int column = 32 * t + 8 * c;
    uint4 low = {}, high = {};
    if (column < a.D) {
      low = *reinterpret_cast<const uint4*>(&shared.x[g][column]);
      high = *reinterpret_cast<const uint4*>(&shared.x[g + 8][column]);
    }
    const uint32_t x[2][4] = {{low.x, high.x, low.y, high.y},
                              {low.z, high.z, low.w, high.w}};
#pragma unroll
    for (int s = 0; s < 2; ++s) {
      const float2(&w)[8] = columns.w[t];
      uint32_t b0[kSplit], b1[kSplit];
      SplitPair(w[4 * s].x, w[4 * s + 1].x, b0);
      SplitPair(w[4 * s + 2].x, w[4 * s + 3].x, b1);
#pragma unroll
      for (int i = 0; i < kSplit; ++i) Mma(z[0], x[s], b0[i], b1[i]);
      SplitPair(w[4 * s].y, w[4 * s + 1].y, b0);
      SplitPair(w[4 * s + 2].y, w[4 * s + 3].y, b1);
#pragma unroll
      for (int i = 0; i < kSplit; ++i) Mma(z[1], x[s], b0[i], b1[i]);
    }
  }
  // This lane's sums are those of four neighbouring columns.
  const int first = f - 2 * g + 4 * c, stride = ZStride(a.F);
#pragma unroll
  for (int r = 0; r < 2; ++r) {
    float four[4] = {z[0][2 * r], z[1][2 * r], z[0][2 * r + 1],
                     z[1][2 * r + 1]};
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      if (bias != nullptr && first + i < a.F)
        four[i] += __ldg(bias + first + i);
    }
    if (first >= a.F) continue;
    *reinterpret_cast<float4*>(&shared.z[(g + 8 * r) * stride + first]) = {
        four[0], four[1], four[2], four[3]};
  }
}

// The tokens of the sequences [begin, end), rotated, into x: queries, or keys
// that leave. Zeros where there is none.
__device__ __forceinline__ void LoadTile(const DecodeArgs& d, int head,
                                         bool keys, int begin, int end,
                                         FeatureShared& shared) {
  const Args& a = d.a;
  const int packs = a.D / 8;  // of four pairs
  const int kv = KvHead(a, head);
  constexpr int kMost = kTileSequences * kManyMostD / 8 / kManyThreads;
  TokenPairs pairs[kMost];
#pragma unroll
  for (int p = 0; p < kMost; ++p) {
    const int item = threadIdx.x + p * kManyThreads;
    const int sequence = begin + item / packs, i = 4 * (item % packs);
    pairs[p].low = pairs[p].high = {};
    pairs[p].cos = pairs[p].sin = {};
    if (item >= kTileSequences * packs || sequence >= end) continue;
    const int n = d.length[sequence];
    const int leaving = max(Start(a, n), a.sinks);
    if (!keys) {
      pairs[p].Load(At(d.q, sequence, head), a.D, d.cos, d.sin, n, i);
    } else if (leaving < Start(a, n + 1) && leaving < n) {
      const int64_t row =
          int64_t{sequence} * d.ring_rows + leaving % d.ring_rows;
      pairs[p].Load(d.ring_k + (row * a.Hkv + kv) * a.D, a.D, nullptr, nullptr,
                    0, i);
    } else if (leaving < Start(a, n + 1)) {
      // In a window of one key the token itself leaves.
      pairs[p].Load(At(d.k, sequence, kv), a.D, d.cos, d.sin, n, i);
    }
  }
#pragma unroll
  for (int p = 0; p < kMost; ++p) {
    const int item = threadIdx.x + p * kManyThreads;
    if (item >= kTileSequences * packs) continue;
    pairs[p].Store(a.D, 4 * (item % packs), shared.x[item / packs]);
  }
}

// Into the work of the sequences [begin, end): alpha phi_q, or (`keys`) phi_k
// of the key that leaves; zeros where they have no part.
__device__ __forceinline__ void TileFeatures(const DecodeArgs& d, int head,
                                             bool keys, int begin, int end,
                                             FeatureShared& shared) {
  const Args& a = d.a;
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  const int map = MapOf(a, head), f0 = 16 * warp + 2 * (lane / 4);
  const float* const weight =
      (keys ? a.weight_k : a.weight_q) + map * int64_t{a.D} * a.F;
  const float* bias = keys ? a.bias_k : a.bias_q;
  if (bias != nullptr) bias += int64_t{map} * a.F;
  MapColumns columns;
  columns.Load(a, weight, f0);
  AwaitEarlier();
  const float scale = keys ? 1.0f : Alpha(a, Gamma(a, head));
  float* const phi = shared.phi[warp];
  for (int tile = begin; tile < end; tile += kTileSequences) {
    LoadTile(d, head, keys, tile, end, shared);
    __syncthreads();
    for (int f = f0; f < f0 + a.F; f += kColumnsAtOnce) {
      if (a.F > kColumnsAtOnce) columns.Load(a, weight, f);
      ProjectTile(a, columns, bias, f, shared);
    }
    __syncthreads();
    for (int s = warp; s < kTileSequences && tile + s < end; s += kManyWarps) {
      const int sequence = tile + s, n = d.length[sequence];
      const int64_t slot = int64_t{sequence} * a.H + head;
      const bool part = keys ? max(Start(a, n), a.sinks) < Start(a, n + 1)
                             : (a.terms[slot] & kLinearPastTerms) != 0;
      float* const work = d.work + slot * WorkOf(a) + (keys ? a.Fout : 0);
      for (int half = 0; half < a.Fout / a.F; ++half) {
        FeatureHalf(a.map, half, a.F, shared.z + s * ZStride(a.F), phi, lane);
        for (int f = lane; f < a.F; f += 32) {  // which this lane has made
          work[half * a.F + f] = part ? scale * phi[f] : 0.0f;
        }
      }
    }
  }
}

}  // namespace caracal::kernels::cuda::decode

#endif  // CARACAL_KERNELS_HYBRID_ATTENTION_HYBRID_ATTENTION_DECODE_CUDA_TILE_FEATURES_H_
