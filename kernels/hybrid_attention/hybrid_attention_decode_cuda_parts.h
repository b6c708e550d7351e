// Device functions of hybrid attention's decoding kernels. Included only by
// their sources.
#ifndef CARACAL_KERNELS_HYBRID_ATTENTION_HYBRID_ATTENTION_DECODE_CUDA_PARTS_H_
#define CARACAL_KERNELS_HYBRID_ATTENTION_HYBRID_ATTENTION_DECODE_CUDA_PARTS_H_

#include <cfloat>

#include "kernels/common/cuda_pack.h"
#include "kernels/feature_map/feature_map_cuda.h"
#include "kernels/hybrid_attention/hybrid_attention_decode_cuda_args.h"
#include "kernels/rope/rope_cuda_token.h"

namespace caracal::kernels::cuda::decode {

// Of a block, in dynamic shared memory.
struct Shared {
  float q[256], k[256];        // the token's, rotated
  float key[256], value[256];  // of a key that leaves
  float z[2][4 * kThreads / 2];
  float phi_q[2 * kMostFeatures], phi_k[2 * kMostFeatures];
  float sums[kWarps][128];  // of a warp's part of the columns
  float reduce[kWarps];
  float weight[1];  // [keys] and more
};

__device__ __forceinline__ float BlockMax(float x, float* shared) {
  for (int m = 16; m > 0; m /= 2) x = fmaxf(x, __shfl_xor_sync(~0u, x, m));
  __syncthreads();
  if (threadIdx.x % 32 == 0) shared[threadIdx.x / 32] = x;
  __syncthreads();
  for (int i = 0; i < kWarps; ++i) x = fmaxf(x, shared[i]);
  return x;
}

// Where this block's head finds key or value j of its sequence.
struct Head {
  int n, start, sequence, kv;
  int first;                 // row of `start` in the ring
  int64_t ring_at, sink_at;  // where the sequence's first rows are

  __device__ Head(const DecodeArgs& d, int sequence, int kv)
      : n(d.length[sequence]),
        start(Start(d.a, n)),
        sequence(sequence),
        kv(kv),
        first(start % d.ring_rows),
        ring_at((int64_t{sequence} * d.ring_rows * d.a.Hkv + kv) * d.a.D),
        sink_at((int64_t{sequence} * d.sink_rows * d.a.Hkv + kv) * d.a.D) {}

  // j < n.
  __device__ const bf16* Cached(const DecodeArgs& d, const bf16* ring,
                                const bf16* sinks, int j) const {
    int row = first + j - start;  // goes round once at most
    if (row >= d.ring_rows) row -= d.ring_rows;
    const int64_t width = int64_t{d.a.Hkv} * d.a.D;
    return j >= start ? ring + ring_at + row * width
                      : sinks + sink_at + j * width;
  }
  __device__ const bf16* Key(const DecodeArgs& d, int j) const {
    return Cached(d, d.ring_k, d.sink_k, j);
  }
  __device__ const bf16* Value(const DecodeArgs& d, int j) const {
    if (j == n) return At(d.v, sequence, kv);
    return Cached(d, d.ring_v, d.sink_v, j);
  }
};

__device__ __forceinline__ void Load(const bf16* from, int count, float* to) {
  for (int i = threadIdx.x; i < count; i += kThreads) {
    to[i] = __bfloat162float(from[i]);
  }
}

__device__ __forceinline__ void LoadKey(const DecodeArgs& d, const Head& head,
                                        int j, const float* k, float* to) {
  if (j < head.n) return Load(head.Key(d, j), d.a.D, to);
  for (int i = threadIdx.x; i < d.a.D; i += kThreads) to[i] = k[i];
}

// Query or key of the token, rotated where that is asked for.
__device__ __forceinline__ void LoadToken(const DecodeArgs& d, const bf16* from,
                                          int n, float* to) {
  RotateToken(from, d.a.D, d.cos, d.sin, n, threadIdx.x, kThreads, to);
}

// The state's slice into the L2 cache, which all of a step's weights go through
// between two reads of it.
__device__ __forceinline__ void FetchState(const DecodeArgs& d,
                                           const float* state, int columns) {
  if (d.state == nullptr) return;
  constexpr int kLine = 32;  // floats
  const int lines = (columns + kLine - 1) / kLine;
  for (int i = threadIdx.x; i < d.a.Fout * lines; i += kThreads) {
    FetchLine(state + int64_t{i / lines} * d.a.D + i % lines * kLine);
  }
}

// The window's keys and the slice's columns of values.
__device__ __forceinline__ void FetchWindow(const DecodeArgs& d,
                                            const Head& head, int far, int keys,
                                            int column, int columns) {
  constexpr int kLine = 64;  // elements
  const int lines = (d.a.D + kLine - 1) / kLine;
  for (int i = threadIdx.x; i < (keys - 1) * lines; i += kThreads) {
    const int key = i / lines, c = i % lines * kLine;
    const int j = key < far ? key : head.start + key - far;
    FetchLine(head.Key(d, j) + c);
    if (c < columns) FetchLine(head.Value(d, j) + column + c);
  }
}

// A head's feature maps [2, D, F], into shared memory. Every thread waits for
// its part by AwaitMaps(); a barrier makes them everybody's.
__device__ __forceinline__ void CopyMaps(const Args& a, int head, float* to) {
  const int size = a.D * a.F;
  for (int i = 4 * threadIdx.x; i < 2 * size; i += 4 * kThreads) {
    const float* const from =
        (i < size ? a.weight_q : a.weight_k) + int64_t{MapOf(a, head)} * size;
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(
                     static_cast<uint32_t>(__cvta_generic_to_shared(to + i))),
                 "l"(from + i % size)
                 : "memory");
  }
}
__device__ __forceinline__ void AwaitMaps() {
  asm volatile("cp.async.wait_all;" ::: "memory");
}

// z = x W + b of one map by half the block's threads: thread t of them. kVector
// neighbouring features a thread; sums over parts of x meet in z.
template <int kVector>
__device__ __forceinline__ void Project(const Args& a, int t,
                                        const float* weight, const float* x,
                                        float* z) {
  constexpr int kHalf = kThreads / 2;
  const int across = a.F / kVector, parts = max(kHalf / across, 1);
  for (int f0 = 0; f0 < across; f0 += kHalf) {  // F of 256: twice
    const int part = t / across, f = f0 + t % across;
    float sum[kVector] = {};
    if (part < parts && f < across) {
#pragma unroll 8
      for (int i = part; i < a.D; i += parts) {
        const float* const w = weight + int64_t{i} * a.F + kVector * f;
        if constexpr (kVector == 4) {
          const float4 v = *reinterpret_cast<const float4*>(w);
          sum[0] += x[i] * v.x, sum[1] += x[i] * v.y;
          sum[2] += x[i] * v.z, sum[3] += x[i] * v.w;
        } else {
          sum[0] += x[i] * *w;
        }
      }
#pragma unroll
      for (int c = 0; c < kVector; ++c)
        z[part * a.F + kVector * f + c] = sum[c];
    }
  }
}

// phi of a query and of a key [D] (shared; null: none), each by half the
// threads; `maps` where they were copied to, or null. Begins and ends with a
// barrier.
inline __device__ __noinline__ void Features(const Args& a, int head,
                                             const float* maps, const float* q,
                                             const float* k, Shared& shared,
                                             float* phi_q, float* phi_k) {
  constexpr int kHalf = kThreads / 2;
  const bool key = threadIdx.x >= kHalf;
  const int t = threadIdx.x % kHalf;
  const float* const x = key ? k : q;
  const int map = MapOf(a, head);
  const int64_t size = int64_t{a.D} * a.F;
  const float* const weight = maps == nullptr
                                  ? (key ? a.weight_k : a.weight_q) + map * size
                                  : maps + (key ? size : 0);
  const float* const bias = key ? a.bias_k : a.bias_q;
  float* const z = shared.z[key];
  float* const phi = key ? phi_k : phi_q;
  const bool vector = a.F % 4 == 0;
  __syncthreads();
  if (x != nullptr) {
    vector ? Project<4>(a, t, weight, x, z) : Project<1>(a, t, weight, x, z);
  }
  __syncthreads();
  const int parts = max(kHalf / (vector ? a.F / 4 : a.F), 1);
  for (int f = t; f < a.F && x != nullptr; f += kHalf) {
    float sum = bias == nullptr ? 0.0f : bias[map * a.F + f];
    for (int i = 0; i < parts; ++i) sum += z[i * a.F + f];
    z[f] = sum;  // only this thread reads this column
  }
  __syncthreads();
  if (x != nullptr && t < 32 * (a.Fout / a.F)) {
    // A warp a half.
    FeatureHalf(a.map, t / 32, a.F, z, phi + t / 32 * a.F, t % 32);
  }
  __syncthreads();
}

// Sums over a warp's lanes that hold the same columns, `width` lanes apart
// (a power of two), and adds them to the warp's.
template <int kCount>
__device__ __forceinline__ void AddLanes(float (&x)[kCount], int width,
                                         bool mine, float scale, float* to) {
  for (int m = 16; m >= width; m /= 2) {
#pragma unroll
    for (int i = 0; i < kCount; ++i) x[i] += __shfl_xor_sync(~0u, x[i], m);
  }
  if (mine) {
#pragma unroll
    for (int i = 0; i < kCount; ++i) to[i] += scale * x[i];
  }
  __syncwarp();
}

__device__ __forceinline__ int PowerOfTwo(int n) {
  return n <= 1 ? 1 : 1 << (32 - __clz(n - 1));
}

// A warp's part of phi_q^T state, and state += phi_k value^T if `add`.
__device__ __forceinline__ void ReadState(const Args& a, float* state,
                                          int columns, const float* phi_q,
                                          const float* phi_k,
                                          const float* value, bool add,
                                          float scale, float* sums) {
  const int packs = columns / 4, width = PowerOfTwo(packs);
  const int lane = threadIdx.x % 32, pack = lane % width;
  const int step = kWarps * (32 / width);
  const int first = threadIdx.x / 32 * (32 / width) + lane / width;
  const bool mine = pack < packs;
  float sum[4] = {}, v[4] = {};
  for (int i = 0; i < 4 && mine && add; ++i) v[i] = value[4 * pack + i];
  for (int f0 = first; f0 < a.Fout; f0 += step * kRowsInFlight) {
    float4 s[kRowsInFlight];
#pragma unroll
    for (int i = 0; i < kRowsInFlight; ++i) {
      const int f = f0 + i * step;
      if (mine && f < a.Fout) {
        s[i] = __ldcs(reinterpret_cast<const float4*>(state + int64_t{f} * a.D +
                                                      4 * pack));
      }
    }
#pragma unroll
    for (int i = 0; i < kRowsInFlight; ++i) {
      const int f = f0 + i * step;
      if (!mine || f >= a.Fout) continue;
      const float p = phi_q[f];
      sum[0] += p * s[i].x, sum[1] += p * s[i].y;
      sum[2] += p * s[i].z, sum[3] += p * s[i].w;
      if (!add) continue;
      const float k = phi_k[f];
      s[i].x += k * v[0], s[i].y += k * v[1];
      s[i].z += k * v[2], s[i].w += k * v[3];
      __stcs(reinterpret_cast<float4*>(state + int64_t{f} * a.D + 4 * pack),
             s[i]);
    }
  }
  AddLanes(sum, width, mine && lane < width, scale, sums + 4 * pack);
}

// s_nj of all keys into weight[0 .. keys): far sinks first, then the window.
__device__ __forceinline__ void Scores(const DecodeArgs& d, const Head& head,
                                       int far, int keys, float root,
                                       const float* q, const float* k,
                                       float* weight) {
  const int packs = d.a.D / 8, width = PowerOfTwo(packs);
  const int lane = threadIdx.x % 32, pack = lane % width;
  const int at_once = kWarps * (32 / width);
  const int first = threadIdx.x / 32 * (32 / width) + lane / width;
#pragma unroll 4
  for (int i0 = 0; i0 < keys; i0 += at_once) {
    const int i = i0 + first;
    float sum = 0;
    if (i < keys && pack < packs) {
      const int j = i < far ? i : head.start + i - far;
      const float4* const at = reinterpret_cast<const float4*>(q) + 2 * pack;
      const float4 low = at[0], high = at[1];
      float x[8];
      if (j < head.n) {
        Unpack<bf16>(LoadPack(head.Key(d, j), pack), x);
      } else {
#pragma unroll
        for (int c = 0; c < 8; ++c) x[c] = k[8 * pack + c];
      }
      sum += x[0] * low.x + x[1] * low.y + x[2] * low.z + x[3] * low.w;
      sum += x[4] * high.x + x[5] * high.y + x[6] * high.z + x[7] * high.w;
    }
    for (int m = width / 2; m > 0; m /= 2) {
      sum += __shfl_xor_sync(~0u, sum, m);
    }
    if (pack == 0 && i < keys) weight[i] = sum * root;
  }
}

// A warp's part of the sum of weight[i] v_i over the slice's columns.
__device__ __forceinline__ void Values(const DecodeArgs& d, const Head& head,
                                       int far, int keys, int column,
                                       int columns, const float* weight,
                                       float* sums) {
  const int packs = columns / 8, width = PowerOfTwo(packs);
  const int lane = threadIdx.x % 32, pack = lane % width;
  const int step = kWarps * (32 / width);
  const int first = threadIdx.x / 32 * (32 / width) + lane / width;
  const bool mine = pack < packs;
  float sum[8] = {};
#pragma unroll 4
  for (int i = first; i < keys; i += step) {
    const float w = weight[i];
    if (!mine || w == 0) continue;
    const int j = i < far ? i : head.start + i - far;
    float x[8];
    Unpack<bf16>(LoadPack(head.Value(d, j) + column, pack), x);
#pragma unroll
    for (int c = 0; c < 8; ++c) sum[c] += w * x[c];
  }
  AddLanes(sum, width, mine && lane < width, 1.0f, sums + 8 * pack);
}

// The token's key k [D] and value into ring and sinks, by kBlock threads: no
// head reads these rows, older keys lie there than any looks at.
template <int kBlock, typename Key>
__device__ __forceinline__ void PutToken(const DecodeArgs& d, const Head& head,
                                         const Key* k) {
  const Args& a = d.a;
  const int n = head.n;
  const int64_t width = int64_t{a.Hkv} * a.D;
  const int64_t ring = head.ring_at + n % d.ring_rows * width;
  const int64_t sink = head.sink_at + n * width;
  const bf16* const v = head.Value(d, n);
  for (int i = threadIdx.x; i < a.D; i += kBlock) {
    const bf16 key(k[i]);
    d.ring_k[ring + i] = key;
    d.ring_v[ring + i] = v[i];
    if (n < a.sinks) {
      d.sink_k[sink + i] = key;
      d.sink_v[sink + i] = v[i];
    }
  }
}

// Slices of a head are a cluster.
__device__ __forceinline__ void SliceBarrier(int slices) {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
  if (slices > 1) {
    asm volatile("barrier.cluster.arrive.aligned;" ::: "memory");
    asm volatile("barrier.cluster.wait.aligned;" ::: "memory");
  }
#endif
}

}  // namespace caracal::kernels::cuda::decode

#endif  // CARACAL_KERNELS_HYBRID_ATTENTION_HYBRID_ATTENTION_DECODE_CUDA_PARTS_H_
