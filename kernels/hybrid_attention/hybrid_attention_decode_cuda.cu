// A block takes one head of one sequence, or a slice of its columns where there
// are few of them; scores and features are then computed by every slice, the
// state is read and written once.
#include <algorithm>
#include <cfloat>

#include "kernels/common/cuda_check.h"
#include "kernels/common/cuda_pack.h"
#include "kernels/hybrid_attention/hybrid_attention_cuda_args.h"
#include "kernels/hybrid_attention/hybrid_attention_decode_cuda.h"

namespace caracal::kernels {
namespace {

using cuda::bf16;
using cuda::BindBf16;

constexpr int kThreads = 256, kWarps = kThreads / 32;
constexpr int kMostFeatures = 256;  // F
constexpr int kRowsInFlight = 4;    // of the state, a thread
constexpr int kBlocks = 4;          // of a multiprocessor, at least

struct DecodeArgs {
  cuda::Args a;  // what it has of a head: shape, maps, window
  int ring_rows = 0, sink_rows = 0;
  const int32_t* length = nullptr;
  HeadRows<const bf16> q, k, v;
  HeadRows<bf16> y;
  bf16 *ring_k = nullptr, *ring_v = nullptr;
  bf16 *sink_k = nullptr, *sink_v = nullptr;
  float *state = nullptr, *norm = nullptr;
  const float *cos = nullptr, *sin = nullptr;  // [positions, D / 2]
  int slices = 1;
};

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

// Where this block's head finds key or value j of its sequence, j < n.
struct Head {
  int n, start, sequence, kv;
  int64_t ring_row, sink_row;  // first rows of the sequence

  __device__ const bf16* At(const DecodeArgs& d, const bf16* ring,
                            const bf16* sinks, int j) const {
    const int64_t row = j >= start ? ring_row + j % d.ring_rows : sink_row + j;
    return (j >= start ? ring : sinks) + (row * d.a.Hkv + kv) * d.a.D;
  }
  __device__ const bf16* Key(const DecodeArgs& d, int j) const {
    return At(d, d.ring_k, d.sink_k, j);
  }
  __device__ const bf16* Value(const DecodeArgs& d, int j) const {
    if (j == n) return cuda::At(d.v, sequence, kv);
    return At(d, d.ring_v, d.sink_v, j);
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
  if (d.cos == nullptr) return Load(from, d.a.D, to);
  const int half = d.a.D / 2;
  for (int i = threadIdx.x; i < half; i += kThreads) {
    const float c = d.cos[int64_t{n} * half + i];
    const float s = d.sin[int64_t{n} * half + i];
    const float x = __bfloat162float(from[i]);
    const float y = __bfloat162float(from[i + half]);
    to[i] = __bfloat162float(__float2bfloat16_rn(x * c - y * s));
    to[i + half] = __bfloat162float(__float2bfloat16_rn(y * c + x * s));
  }
}

__device__ __forceinline__ void FetchLine(const void* at) {
  asm volatile("prefetch.global.L2 [%0];" ::"l"(at));
}

// The state's slice and a slice's share of the feature maps.
__device__ __forceinline__ void Fetch(const DecodeArgs& d, const float* state,
                                      int columns, int head, int slice) {
  const cuda::Args& a = d.a;
  constexpr int kLine = 32;  // floats
  if (d.state != nullptr) {
    const int lines = (columns + kLine - 1) / kLine;
    for (int i = threadIdx.x; i < a.Fout * lines; i += kThreads) {
      FetchLine(state + int64_t{i / lines} * a.D + i % lines * kLine);
    }
  }
  if (a.weight_q == nullptr) return;
  const int64_t map = int64_t{a.D} * a.F;
  for (int64_t i = kLine * (threadIdx.x + slice * kThreads); i < map;
       i += kLine * kThreads * d.slices) {
    FetchLine(a.weight_q + head * map + i);
    FetchLine(a.weight_k + head * map + i);
  }
}

// z = x W + b of one map by half the block's threads: thread t of them. kVector
// neighbouring features a thread; sums over parts of x meet in z.
template <int kVector>
__device__ __forceinline__ void Project(const cuda::Args& a, int t,
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
          const float4 v = __ldg(reinterpret_cast<const float4*>(w));
          sum[0] += x[i] * v.x, sum[1] += x[i] * v.y;
          sum[2] += x[i] * v.z, sum[3] += x[i] * v.w;
        } else {
          sum[0] += x[i] * __ldg(w);
        }
      }
#pragma unroll
      for (int c = 0; c < kVector; ++c)
        z[part * a.F + kVector * f + c] = sum[c];
    }
  }
}

// phi of a query and of a key [D] (shared; null: none), each by half the
// threads. Begins and ends with a barrier.
__device__ __noinline__ void Features(const cuda::Args& a, int head,
                                      const float* q, const float* k,
                                      Shared& shared, float* phi_q,
                                      float* phi_k) {
  constexpr int kHalf = kThreads / 2;
  const bool key = threadIdx.x >= kHalf;
  const int t = threadIdx.x % kHalf;
  const float* const x = key ? k : q;
  const float* const weight =
      (key ? a.weight_k : a.weight_q) + int64_t{head} * a.D * a.F;
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
    float sum = bias == nullptr ? 0.0f : bias[head * a.F + f];
    for (int i = 0; i < parts; ++i) sum += z[i * a.F + f];
    z[f] = sum;  // only this thread reads this column
    if (a.identity) phi[f] = sum;
  }
  __syncthreads();
  if (!a.identity && x != nullptr && t < 64) {
    // One warp softmax(z), one softmax(-z).
    const int lane = t % 32;
    const float sign = t < 32 ? 1.0f : -1.0f;
    float most = -FLT_MAX, total = 0;
    for (int i = lane; i < a.F; i += 32) most = fmaxf(most, sign * z[i]);
    for (int m = 16; m > 0; m /= 2) {
      most = fmaxf(most, __shfl_xor_sync(~0u, most, m));
    }
    float* const to = phi + (t < 32 ? 0 : a.F);
    for (int i = lane; i < a.F; i += 32) {
      const float e = expf(sign * z[i] - most);
      to[i] = e;
      total += e;
    }
    total = cuda::WarpTotal(total);
    for (int i = lane; i < a.F; i += 32) {
      to[i] = fmaxf(to[i] / total, kFeatureFloor);
    }
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
__device__ __forceinline__ void ReadState(const cuda::Args& a, float* state,
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
      float x[8];
      if (j < head.n) {
        cuda::Unpack<bf16>(cuda::LoadPack(head.Key(d, j), pack), x);
      } else {
#pragma unroll
        for (int c = 0; c < 8; ++c) x[c] = k[8 * pack + c];
      }
#pragma unroll
      for (int c = 0; c < 8; ++c) sum += x[c] * q[8 * pack + c];
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
    cuda::Unpack<bf16>(cuda::LoadPack(head.Value(d, j) + column, pack), x);
#pragma unroll
    for (int c = 0; c < 8; ++c) sum[c] += w * x[c];
  }
  AddLanes(sum, width, mine && lane < width, 1.0f, sums + 8 * pack);
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

__global__ void __launch_bounds__(kThreads, kBlocks)
    Decode(const __grid_constant__ DecodeArgs d) {
  extern __shared__ __align__(16) char memory[];
  Shared& shared = *reinterpret_cast<Shared*>(memory);
  const cuda::Args& a = d.a;
  const int slice = blockIdx.x, head = blockIdx.y, sequence = blockIdx.z;
  const int columns = a.D / d.slices, column = slice * columns;
  const int64_t slot = int64_t{sequence} * a.H + head;
  float* const state = d.state + slot * a.Fout * a.D + column;
  float* const norm = d.norm + slot * a.Fout;
  Fetch(d, state, columns, head, slice);
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
  cudaTriggerProgrammaticLaunchCompletion();
  cudaGridDependencySynchronize();
#endif
  const int terms = a.terms[sequence * a.H + head];
  const bool linear = cuda::AnyLinear(terms);
  const int n = d.length[sequence];
  Head h;
  h.n = n, h.start = cuda::Start(a, n), h.sequence = sequence;
  h.kv = cuda::KvHead(a, head);
  h.ring_row = int64_t{sequence} * d.ring_rows;
  h.sink_row = int64_t{sequence} * d.sink_rows;
  const int far = min(a.sinks, h.start), keys = far + n + 1 - h.start;
  // Keys that the state takes in: they have left the next token's window.
  const int leaving = max(h.start, a.sinks);
  const int leaving_end = d.state == nullptr ? 0 : cuda::Start(a, n + 1);

  LoadToken(d, cuda::At(d.q, sequence, head), n, shared.q);
  LoadToken(d, cuda::At(d.k, sequence, h.kv), n, shared.k);
  if (leaving < leaving_end) {
    if (leaving < n) Load(h.Key(d, leaving), a.D, shared.key);
    Load(h.Value(d, leaving) + column, columns, shared.value);
  }
  for (int i = threadIdx.x; i < kWarps * 128; i += kThreads) {
    shared.sums[i / 128][i % 128] = 0;
  }
  __syncthreads();
  Scores(d, h, far, keys, rsqrtf(static_cast<float>(a.D)), shared.q, shared.k,
         shared.weight);
  // In a window of one key the token itself leaves.
  const float* const leaver = leaving >= leaving_end ? nullptr
                              : leaving < n          ? shared.key
                                                     : shared.k;
  Features(a, head, linear ? shared.q : nullptr, leaver, shared, shared.phi_q,
           shared.phi_k);

  const float gamma = cuda::Gamma(a, head), alpha = cuda::Alpha(a, gamma);
  float most = -FLT_MAX, den = 0;
  for (int i = threadIdx.x; i < keys; i += kThreads) {
    most = fmaxf(most, shared.weight[i]);
  }
  most = BlockMax(most, shared.reduce);
  for (int i = threadIdx.x; i < keys; i += kThreads) {
    const int j = i < far ? i : h.start + i - far;
    const bool kept = cuda::SoftmaxTerm(a, terms, h.start, j);
    const float w = kept ? gamma * expf(shared.weight[i] - most) : 0.0f;
    shared.weight[i] = w;
    den += w;
  }
  if ((terms & kLinearPastTerms) && d.state != nullptr) {
    for (int f = threadIdx.x; f < a.Fout; f += kThreads) {
      den += alpha * shared.phi_q[f] * norm[f];
    }
  }
  const int warp = threadIdx.x / 32;
  if (d.state != nullptr &&
      ((terms & kLinearPastTerms) || leaving < leaving_end)) {
    const float scale = terms & kLinearPastTerms ? alpha : 0.0f;
    if (scale == 0) {
      for (int f = threadIdx.x; f < a.Fout; f += kThreads) shared.phi_q[f] = 0;
      __syncthreads();
    }
    ReadState(a, state, columns, shared.phi_q, shared.phi_k, shared.value,
              leaving < leaving_end, scale, shared.sums[warp]);
  }
  // Component modes look at the linear terms of near keys, too.
  if (terms & kLinearNearTerms) {
    if (!(terms & kLinearPastTerms)) {
      Features(a, head, shared.q, nullptr, shared, shared.phi_q, nullptr);
    }
    float* const phi = shared.weight + keys;  // [Fout]
    float* const x = phi + a.Fout;            // [D]
    for (int i = 0; i < keys; ++i) {
      const int j = i < far ? i : h.start + i - far;
      __syncthreads();
      LoadKey(d, h, j, shared.k, x);
      Features(a, head, nullptr, x, shared, nullptr, phi);
      float dot = 0;
      for (int f = threadIdx.x % 32; f < a.Fout; f += 32) {
        dot += shared.phi_q[f] * phi[f];
      }
      dot = alpha * cuda::WarpTotal(dot);
      if (threadIdx.x == 0) {
        shared.weight[i] += dot;
        den += dot;
      }
    }
  }
  den = cuda::BlockTotal<kThreads>(den, shared.reduce);  // a barrier, too
  Values(d, h, far, keys, column, columns, shared.weight, shared.sums[warp]);
  __syncthreads();
  bf16* const y = d.y.data + sequence * d.y.row + head * d.y.head + column;
  for (int c = threadIdx.x; c < columns; c += kThreads) {
    float sum = 0;
#pragma unroll
    for (int w = 0; w < kWarps; ++w) sum += shared.sums[w][c];
    y[c] = __float2bfloat16_rn(den == 0 ? 0.0f : sum / den);
  }

  SliceBarrier(d.slices);  // All have read the norm.
  for (int j = leaving; j < leaving_end; ++j) {
    if (j > leaving) {  // A terrace: a block of keys leaves at once.
      __syncthreads();
      LoadKey(d, h, j, shared.k, shared.key);
      Load(h.Value(d, j) + column, columns, shared.value);
      Features(a, head, nullptr, shared.key, shared, nullptr, shared.phi_k);
      ReadState(a, state, columns, shared.phi_q, shared.phi_k, shared.value,
                true, 0, shared.sums[warp]);
    }
    if (slice == 0) {
      for (int f = threadIdx.x; f < a.Fout; f += kThreads) {
        norm[f] += shared.phi_k[f];
      }
    }
  }
  // No head reads these rows: older keys lie there than any looks at.
  if (slice == 0 && head % (a.H / a.Hkv) == 0) {
    const int64_t ring = ((h.ring_row + n % d.ring_rows) * a.Hkv + h.kv) * a.D;
    const int64_t sink = ((h.sink_row + n) * a.Hkv + h.kv) * a.D;
    const bf16* const v = h.Value(d, n);
    for (int i = threadIdx.x; i < a.D; i += kThreads) {
      const bf16 k = __float2bfloat16_rn(shared.k[i]);
      d.ring_k[ring + i] = k;
      d.ring_v[ring + i] = v[i];
      if (n < a.sinks) {
        d.sink_k[sink + i] = k;
        d.sink_v[sink + i] = v[i];
      }
    }
  }
}

__global__ void Advance(int32_t* length, int64_t sequences) {
  const int64_t i = int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
  if (i < sequences) ++length[i];
}

// Few heads: as many slices of 32 columns or more as fill the chip.
int Slices(int64_t heads, int D, int* major) {
  int device = 0, processors = 0;
  CARACAL_CUDA_CHECK(cudaGetDevice(&device));
  CARACAL_CUDA_CHECK(
      cudaDeviceGetAttribute(major, cudaDevAttrComputeCapabilityMajor, device));
  CARACAL_CUDA_CHECK(cudaDeviceGetAttribute(
      &processors, cudaDevAttrMultiProcessorCount, device));
  int slices = 1;
  const auto split = [&] { return D % (16 * slices) == 0; };
  while (*major >= 9 && slices < 4 && split() && D / slices >= 64 &&
         (heads * slices < 2 * processors || D / slices > 128)) {
    slices *= 2;
  }
  CARACAL_CHECK(D / slices <= 128) << "head dimension " << D;
  return slices;
}

float* BindState(const TensorView& view, int64_t size) {
  if (!view.defined()) return nullptr;
  CARACAL_CHECK(view.contiguous());
  CARACAL_CHECK_EQ(view.size(), size);
  return view.f32();
}

const float* BindParameter(const ConstTensorView& view, int64_t size) {
  if (!view.defined()) return nullptr;
  CARACAL_CHECK(view.contiguous());
  CARACAL_CHECK_EQ(view.size(), size);
  return view.f32();
}

bf16* BindCache(const TensorView& view, int64_t N, int64_t fewest_rows,
                const cuda::Args& a) {
  if (!view.defined() && fewest_rows == 0) return nullptr;
  CARACAL_CHECK(view.rank == 4 && view.dtype == DType::kBF16 &&
                view.contiguous());
  CARACAL_CHECK(view.shape[0] == N && view.shape[1] >= fewest_rows &&
                view.shape[2] == a.Hkv && view.shape[3] == a.D)
      << "cache [" << view.shape[0] << ", " << view.shape[1] << ", "
      << view.shape[2] << ", " << view.shape[3] << "], wanted [" << N
      << ", >= " << fewest_rows << ", " << a.Hkv << ", " << a.D << "]";
  return static_cast<bf16*>(view.data);
}

}  // namespace

void HybridAttentionDecodeCuda(const Context& ctx,
                               const HybridAttentionConfig& config,
                               const HybridAttentionDecodeInputs& in,
                               const HybridAttentionDecodeCache& cache,
                               TensorView y) {
  CARACAL_CHECK(config.window >= 1 && config.sinks >= 0);
  CARACAL_CHECK(config.window_kind != WindowKind::kLolcatsTerraced)
      << "window kind " << NameOf(config.window_kind);
  CARACAL_CHECK(config.feature_map == FeatureMapKind::kHedgehog ||
                config.feature_map == FeatureMapKind::kIdentity)
      << "feature map " << static_cast<int>(config.feature_map);
  CARACAL_CHECK(in.q.rank == 3 && in.k.rank == 3 && in.terms != nullptr &&
                cache.length != nullptr);
  DecodeArgs d;
  cuda::Args& a = d.a;
  const int64_t N = in.q.shape[0];
  a.window = static_cast<int>(config.window);
  a.sinks = static_cast<int>(config.sinks);
  a.terraced = config.window_kind == WindowKind::kTerraced;
  a.affine = config.affine;
  a.identity = config.feature_map == FeatureMapKind::kIdentity;
  a.H = in.q.shape[1], a.D = in.q.shape[2], a.Hkv = in.k.shape[1];
  CARACAL_CHECK(a.D >= 8 && a.D % 8 == 0) << "head dimension " << a.D;
  CARACAL_CHECK(a.Hkv >= 1 && a.H % a.Hkv == 0) << a.H << " over " << a.Hkv;
  a.terms = in.terms;
  if (in.weight_q.defined()) {
    a.F = in.weight_q.shape[2];
    CARACAL_CHECK(a.F >= 1 && a.F <= kMostFeatures) << a.F << " features";
    a.Fout = FeatureMapOutputs(config.feature_map, a.F);
    a.weight_q = BindParameter(in.weight_q, int64_t{a.H} * a.D * a.F);
    a.weight_k = BindParameter(in.weight_k, int64_t{a.H} * a.D * a.F);
    a.bias_q = BindParameter(in.bias_q, int64_t{a.H} * a.F);
    a.bias_k = BindParameter(in.bias_k, int64_t{a.H} * a.F);
  }
  a.window_factor = BindParameter(in.window_factor, a.H);
  d.q = BindBf16<const bf16>(in.q, N, a.H, a.D);
  d.k = BindBf16<const bf16>(in.k, N, a.Hkv, a.D);
  d.v = BindBf16<const bf16>(in.v, N, a.Hkv, a.D);
  d.y = BindBf16<bf16>(y, N, a.H, a.D);
  d.length = cache.length;
  if (in.cos.defined()) {
    CARACAL_CHECK(in.cos.rank == 2 && in.sin.defined() && a.D % 2 == 0);
    d.cos = BindParameter(in.cos, in.cos.shape[0] * a.D / 2);
    d.sin = BindParameter(in.sin, in.cos.shape[0] * a.D / 2);
  }
  const int64_t ring = (a.terraced ? 2 : 1) * config.window;
  d.ring_k = BindCache(cache.ring_k, N, ring, a);
  d.ring_v = BindCache(cache.ring_v, N, ring, a);
  d.sink_k = BindCache(cache.sink_k, N, a.sinks, a);
  d.sink_v = BindCache(cache.sink_v, N, a.sinks, a);
  d.ring_rows = cache.ring_k.shape[1];
  d.sink_rows = a.sinks > 0 ? cache.sink_k.shape[1] : 0;
  CARACAL_CHECK_EQ(cache.ring_v.shape[1], d.ring_rows);
  d.state = BindState(cache.state, N * a.H * a.Fout * a.D);
  d.norm = BindState(cache.state_norm, N * a.H * a.Fout);
  CARACAL_CHECK((d.state == nullptr) == (d.norm == nullptr));
  CARACAL_CHECK(d.state == nullptr || a.weight_q != nullptr);
  if (N == 0) return;
  int major = 0;
  d.slices = Slices(N * a.H, a.D, &major);

  const size_t bytes =
      sizeof(Shared) + (ring + a.sinks + a.Fout + a.D) * sizeof(float);
  CARACAL_CUDA_CHECK(cudaFuncSetAttribute(
      Decode, cudaFuncAttributeMaxDynamicSharedMemorySize, bytes));
  cudaLaunchConfig_t launch = {};
  launch.gridDim = dim3(d.slices, a.H, N);
  launch.blockDim = dim3(kThreads);
  launch.dynamicSmemBytes = bytes;
  launch.stream = static_cast<cudaStream_t>(ctx.stream);
  cudaLaunchAttribute attributes[2];
  attributes[0].id = cudaLaunchAttributeProgrammaticStreamSerialization;
  attributes[0].val.programmaticStreamSerializationAllowed = 1;
  attributes[1].id = cudaLaunchAttributeClusterDimension;
  attributes[1].val.clusterDim.x = d.slices;
  attributes[1].val.clusterDim.y = attributes[1].val.clusterDim.z = 1;
  launch.attrs = attributes;
  launch.numAttrs = major < 9 ? 0 : d.slices > 1 ? 2 : 1;
  CARACAL_CUDA_CHECK(cudaLaunchKernelEx(&launch, Decode, d));
}

void HybridAttentionDecodeAdvanceCuda(const Context& ctx, int32_t* length,
                                      int64_t sequences) {
  if (sequences == 0) return;
  Advance<<<static_cast<unsigned>((sequences + 255) / 256), 256, 0,
            static_cast<cudaStream_t>(ctx.stream)>>>(length, sequences);
  CARACAL_CUDA_CHECK_LAUNCH();
}

}  // namespace caracal::kernels
