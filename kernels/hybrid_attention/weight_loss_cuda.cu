// Tiles of scores and of linear terms by tensor cores (sm_80's), in shared
// memory; what is done with them, by two threads a query: those of the warp
// that made its rows. Features come from the plain version, and the way from
// their gradients to the parameters'.
#include <mma.h>

#include <algorithm>

#include "kernels/common/cuda_check.h"
#include "kernels/hybrid_attention/hybrid_attention_cuda_bind.h"
#include "kernels/hybrid_attention/hybrid_attention_cuda_plain.h"
#include "kernels/hybrid_attention/hybrid_attention_cuda_plain_row.h"
#include "kernels/hybrid_attention/weight_loss_cuda.h"

namespace caracal::kernels {
namespace {

using namespace nvcuda;  // wmma
using namespace cuda;    // Args and what is to be known of a key

constexpr int kThreads = 128;        // four warps of 16 rows
constexpr int kColumns = kTile / 2;  // of a thread: half a row
constexpr int kScores = kTile + 4;   // floats from row to row
constexpr int kGradients = kTile + 8;
constexpr int kPartFeatures = 256;  // whose gradients a block makes

// What a row needs to know of its keys, [H, rows] each.
struct RowStatistics {
  float *top, *inverse_mass;  // the teacher's largest score, 1 / sum exp
  float *row_max, *inverse_den;
  float* kept;  // the teacher's mass above the student's floor
  float *cross, *entropy;
};

struct Problem {
  Args a;
  PlainScratch plain;
  RowStatistics rows;
  int features;  // Fout, to a multiple of 16
  int parts;     // blocks that share a tile's gradients of features
};

// One block's shared memory.
struct Shared {
  bf16 *q, *phi_q, *k, *phi_k, *gradient;
  float *scores, *linear;
  float* rows;  // five statistics of a tile of queries
  int d_stride, f_stride;
};

__host__ __device__ constexpr size_t Up(size_t bytes) {
  return (bytes + 127) / 128 * 128;
}

size_t SharedBytes(int D, int features) {
  return 2 * Up(kTile * (D + 8) * sizeof(bf16)) +
         2 * Up(kTile * (features + 8) * sizeof(bf16)) +
         2 * Up(kTile * kScores * sizeof(float)) +
         Up(kTile * kGradients * sizeof(bf16)) + Up(5 * kTile * sizeof(float));
}

__device__ Shared Cut(const Problem& p, char* memory) {
  Shared s;
  s.d_stride = p.a.D + 8;
  s.f_stride = p.features + 8;
  const auto take = [&](size_t bytes) {
    char* const at = memory;
    memory += Up(bytes);
    return at;
  };
  const size_t inputs = kTile * s.d_stride * sizeof(bf16);
  const size_t features = kTile * s.f_stride * sizeof(bf16);
  s.q = reinterpret_cast<bf16*>(take(inputs));
  s.k = reinterpret_cast<bf16*>(take(inputs));
  s.phi_q = reinterpret_cast<bf16*>(take(features));
  s.phi_k = reinterpret_cast<bf16*>(take(features));
  s.scores = reinterpret_cast<float*>(take(kTile * kScores * sizeof(float)));
  s.linear = reinterpret_cast<float*>(take(kTile * kScores * sizeof(float)));
  s.gradient = reinterpret_cast<bf16*>(take(kTile * kGradients * sizeof(bf16)));
  s.rows = reinterpret_cast<float*>(take(5 * kTile * sizeof(float)));
  return s;
}

// Rows [row, row + count) of x, and zeros up to a tile.
__device__ void LoadInputs(const HeadRows<const bf16>& x, int64_t row,
                           int count, int head, int D, int stride, bf16* to) {
  const int packs = D / 8;
  for (int i = threadIdx.x; i < kTile * packs; i += kThreads) {
    const int r = i / packs, c = i % packs * 8;
    uint4 v = make_uint4(0, 0, 0, 0);
    if (r < count)
      v = *reinterpret_cast<const uint4*>(At(x, row + r, head) + c);
    *reinterpret_cast<uint4*>(to + r * stride + c) = v;
  }
}

__device__ void LoadFeatures(const Problem& p, const float* phi, int64_t row,
                             int count, int head, int stride, bf16* to) {
  const float* from = phi + (head * p.a.rows + row) * p.a.Fout;
  for (int i = threadIdx.x; i < kTile * p.features; i += kThreads) {
    const int r = i / p.features, f = i % p.features;
    const bool in = r < count && f < p.a.Fout;
    to[r * stride + f] = __float2bfloat16(in ? from[r * p.a.Fout + f] : 0.0f);
  }
}

using Rows = wmma::fragment<wmma::matrix_a, 16, 16, 16, bf16, wmma::row_major>;
using Turned =
    wmma::fragment<wmma::matrix_a, 16, 16, 16, bf16, wmma::col_major>;
using Across =
    wmma::fragment<wmma::matrix_b, 16, 16, 16, bf16, wmma::col_major>;
using Along = wmma::fragment<wmma::matrix_b, 16, 16, 16, bf16, wmma::row_major>;
using Sums = wmma::fragment<wmma::accumulator, 16, 16, 16, float>;

// This warp's 16 rows of x y^T.
__device__ void Products(const bf16* x, const bf16* y, int n, int stride,
                         float* to) {
  const int first = threadIdx.x / 32 * 16;
  Sums sums[kTile / 16];
  for (Sums& s : sums) wmma::fill_fragment(s, 0.0f);
  for (int c = 0; c < n; c += 16) {
    Rows rows;
    wmma::load_matrix_sync(rows, x + first * stride + c, stride);
#pragma unroll
    for (int b = 0; b < kTile / 16; ++b) {
      Across columns;
      wmma::load_matrix_sync(columns, y + 16 * b * stride + c, stride);
      wmma::mma_sync(sums[b], rows, columns, sums[b]);
    }
  }
#pragma unroll
  for (int b = 0; b < kTile / 16; ++b) {
    wmma::store_matrix_sync(to + first * kScores + 16 * b, sums[b], kScores,
                            wmma::mem_row_major);
  }
}

// A thread's row of a tile of queries.
struct Query {
  int n, start;  // position, its window's; n < 0: no row
  int terms;
  float gamma, alpha, root;
};

// What a key is to a query: fn(score, linear term, whether it has a softmax
// term, a linear one, is in the softmax set), for each of the thread's half row
// that has one, or is in the set; `column` is the key's in the tile.
template <typename Fn>
__device__ __forceinline__ void ForKeys(const Args& a, const Shared& s,
                                        const Query& q, int first_key,
                                        const Fn& fn) {
  const int row = threadIdx.x / 2, begin = threadIdx.x % 2 * kColumns;
  const float* scores = s.scores + row * kScores;
  const float* linear = s.linear + row * kScores;
  for (int c = begin; c < begin + kColumns; ++c) {
    const int j = first_key + c;
    if (j > q.n) break;
    const bool softmax = SoftmaxTerm(a, q.terms, q.start, j);
    const bool is_linear = LinearTerm(a, q.terms, q.start, j);
    const bool in_set = InSoftmaxSet(a, q.start, j);
    if (!softmax && !is_linear && !in_set) continue;
    fn(c, scores[c] * q.root, linear[c], softmax, is_linear, in_set);
  }
}

struct Running {
  float top = -INFINITY, mass = 0, entropy = 0;  // of the teacher
  float most = -INFINITY, weights = 0;           // of the softmax set
  float linear = 0;
};

// Of two parts of a row.
__device__ __forceinline__ void Join(float top, float mass, float entropy,
                                     float most, float weights, Running& r) {
  const auto shift = [](float from, float to) {
    return from == -INFINITY ? 0.0f : from - to;
  };
  const float highest = fmaxf(r.top, top);
  const float mine = shift(r.top, highest), other = shift(top, highest);
  r.entropy = expf(mine) * (r.entropy + mine * r.mass) +
              expf(other) * (entropy + other * mass);
  r.mass = expf(mine) * r.mass + expf(other) * mass;
  r.top = highest;
  const float limit = fmaxf(r.most, most);
  r.weights = expf(shift(r.most, limit)) * r.weights +
              expf(shift(most, limit)) * weights;
  r.most = limit;
}

__device__ __forceinline__ float Both(float x) {
  return x + __shfl_xor_sync(~0u, x, 1);
}

// The rows of a block's tile of queries, one for each two threads.
struct Place {
  int head, kv, sequence, first;  // the tile's first position
  int64_t begin;                  // the sequence's first row
  int length, count;              // rows of the sequence, and of the tile
  int first_feature;              // of those whose gradients the block makes
};

__device__ __forceinline__ Place PlaceOf(const Problem& problem) {
  const Args& a = problem.a;
  Place p;
  p.head = blockIdx.y;
  p.kv = KvHead(a, p.head);
  p.sequence = blockIdx.z / problem.parts;
  p.first_feature = blockIdx.z % problem.parts * kPartFeatures;
  p.begin = a.offsets[p.sequence];
  p.length = static_cast<int>(a.offsets[p.sequence + 1] - p.begin);
  p.first = blockIdx.x * kTile;
  p.count = min(kTile, p.length - p.first);
  return p;
}

__device__ __forceinline__ Query QueryOf(const Args& a, const Place& p,
                                         int first, int count) {
  Query q;
  const int row = threadIdx.x / 2;
  q.n = row < count ? first + row : -1;
  q.start = Start(a, q.n, Phase(a, p.length));
  q.terms = a.terms[p.sequence * a.H + p.head];
  q.gamma = Gamma(a, p.head);
  q.alpha = Alpha(a, q.gamma);
  q.root = rsqrtf(static_cast<float>(a.D));
  return q;
}

// The student's term of a key before it is normalised.
__device__ __forceinline__ float TermOf(const Query& q, float score,
                                        float row_max, float linear,
                                        bool softmax, bool is_linear) {
  return (softmax ? q.gamma * expf(score - row_max) : 0.0f) +
         (is_linear ? q.alpha * linear : 0.0f);
}

// Elements of the gradient of this thread's half row, by tile column.
struct GradientSums {
  float gamma = 0, alpha = 0;
};
__device__ __forceinline__ void GradientOf(const Args& a, const Shared& s,
                                           const Query& q, int first_key,
                                           float scale, float top,
                                           float inverse_mass, float row_max,
                                           float inverse_den, float kept,
                                           GradientSums* sums) {
  const int row = threadIdx.x / 2, begin = threadIdx.x % 2 * kColumns;
  bf16* const out = s.gradient + row * kGradients;
  for (int c = begin; c < begin + kColumns; ++c) out[c] = __float2bfloat16(0);
  const float factor = scale * inverse_den;
  ForKeys(a, s, q, first_key,
          [&](int c, float score, float linear, bool softmax, bool is_linear,
              bool) {
            if (!softmax && !is_linear) return;
            const float p =
                TermOf(q, score, row_max, linear, softmax, is_linear) *
                inverse_den;
            const float teacher = expf(score - top) * inverse_mass;
            const float above =
                p > kAttentionWeightFloor ? __fdividef(teacher, p) : 0.0f;
            const float g = factor * (kept - above);
            if (softmax) sums->gamma += expf(score - row_max) * g;
            if (!is_linear) return;
            sums->alpha += linear * g;
            out[c] = __float2bfloat16(q.alpha * g);
          });
}

// A warp's 16 rows of [64, features of the block] to rows of phi's layout, by
// way of `staging` [16, kScores].
template <int kTiles>
__device__ void StoreFeatures(const Problem& p, const Place& place,
                              const Sums (&sums)[kTiles], float* staging,
                              float* to) {
  const int64_t row = place.begin + place.first;
  const int first = threadIdx.x / 32 * 16, lane = threadIdx.x % 32;
#pragma unroll
  for (int b = 0; b < kTiles; ++b) {
    if (place.first_feature + 16 * b >= p.features) break;
    wmma::store_matrix_sync(staging, sums[b], kScores, wmma::mem_row_major);
    __syncwarp();
    for (int i = lane; i < 256; i += 32) {
      const int r = first + i / 16;
      const int f = place.first_feature + 16 * b + i % 16;
      if (r < place.count && f < p.a.Fout) {
        to[(place.head * p.a.rows + row + r) * p.a.Fout + f] =
            staging[i / 16 * kScores + i % 16];
      }
    }
    __syncwarp();
  }
}

// One tile of queries of a head: losses, statistics, dphi_q, the window
// factor's share.
template <int kTiles>
__global__ void __launch_bounds__(kThreads)
    QueryTiles(const __grid_constant__ Problem p, float scale) {
  extern __shared__ __align__(128) char memory[];
  const Args& a = p.a;
  const Place place = PlaceOf(p);
  if (place.count <= 0) return;
  const Shared s = Cut(p, memory);
  const Query q = QueryOf(a, place, place.first, place.count);
  const bool linear = AnyLinear(q.terms);
  const int64_t row = place.begin + place.first;
  LoadInputs(a.q, row, place.count, place.head, a.D, s.d_stride, s.q);
  if (linear) {
    LoadFeatures(p, p.plain.phi_q, row, place.count, place.head, s.f_stride,
                 s.phi_q);
  }
  const int keys = place.first + place.count;
  // Calls use(first key) with the tile's scores and linear terms in place.
  const auto for_tiles = [&](const auto& use) {
    for (int first = 0; first < keys; first += kTile) {
      const int count = min(kTile, keys - first);
      __syncthreads();
      LoadInputs(a.k, place.begin + first, count, place.kv, a.D, s.d_stride,
                 s.k);
      if (linear) {
        LoadFeatures(p, p.plain.phi_k, place.begin + first, count, place.head,
                     s.f_stride, s.phi_k);
      }
      __syncthreads();
      Products(s.q, s.k, a.D, s.d_stride, s.scores);
      if (linear) {
        Products(s.phi_q, s.phi_k, p.features, s.f_stride, s.linear);
      }
      __syncwarp();
      use(first);
      __syncwarp();
    }
  };

  Running r;
  for_tiles([&](int first) {
    float top = -INFINITY, most = -INFINITY;
    ForKeys(a, s, q, first,
            [&](int, float score, float, bool softmax, bool is_linear,
                bool in_set) {
              if (softmax || is_linear) top = fmaxf(top, score);
              if (in_set) most = fmaxf(most, score);
            });
    float mass = 0, entropy = 0, weights = 0;
    ForKeys(
        a, s, q, first,
        [&](int, float score, float term, bool softmax, bool is_linear, bool) {
          if (softmax) weights += expf(score - most);
          if (is_linear) r.linear += term;
          if (!softmax && !is_linear) return;
          const float e = expf(score - top);
          mass += e;
          entropy += e * (score - top);
        });
    Join(top, mass, entropy, most, weights, r);
  });
  Join(__shfl_xor_sync(~0u, r.top, 1), __shfl_xor_sync(~0u, r.mass, 1),
       __shfl_xor_sync(~0u, r.entropy, 1), __shfl_xor_sync(~0u, r.most, 1),
       __shfl_xor_sync(~0u, r.weights, 1), r);
  const float den = q.gamma * r.weights + q.alpha * Both(r.linear);
  const bool any = !(den <= 0);  // NaN, too
  const float inverse_den = any ? 1.0f / den : 0.0f;
  const float inverse_mass = any ? 1.0f / r.mass : 0.0f;

  float kept = 0, cross = 0;
  for_tiles([&](int first) {
    ForKeys(
        a, s, q, first,
        [&](int, float score, float term, bool softmax, bool is_linear, bool) {
          if (!softmax && !is_linear) return;
          const float teacher = expf(score - r.top) * inverse_mass;
          const float weight =
              TermOf(q, score, r.most, term, softmax, is_linear) * inverse_den;
          if (weight > kAttentionWeightFloor) kept += teacher;
          cross -= teacher * logf(fmaxf(weight, kAttentionWeightFloor));
        });
  });
  kept = Both(kept);
  cross = Both(cross);

  Sums sums[kTiles];
#pragma unroll
  for (int b = 0; b < kTiles; ++b) wmma::fill_fragment(sums[b], 0.0f);
  GradientSums of;
  for_tiles([&](int first) {
    GradientOf(a, s, q, first, scale, r.top, inverse_mass, r.most, inverse_den,
               kept, &of);
    if (!linear) return;
    __syncwarp();
    const int own = threadIdx.x / 32 * 16;
    for (int c = 0; c < kTile; c += 16) {
      Rows rows;
      wmma::load_matrix_sync(rows, s.gradient + own * kGradients + c,
                             kGradients);
#pragma unroll
      for (int b = 0; b < kTiles; ++b) {
        const int f = place.first_feature + 16 * b;
        if (f >= p.features) break;
        Along columns;
        wmma::load_matrix_sync(columns, s.phi_k + c * s.f_stride + f,
                               s.f_stride);
        wmma::mma_sync(sums[b], rows, columns, sums[b]);
      }
    }
  });
  if (linear) {
    __syncwarp();
    StoreFeatures<kTiles>(p, place, sums,
                          s.scores + threadIdx.x / 32 * 16 * kScores,
                          p.plain.dphi_q);
  }
  if (place.first_feature > 0) return;
  const float dgamma = Both(of.gamma), dalpha = Both(of.alpha);
  if (q.n < 0 || threadIdx.x % 2 != 0) return;
  const int64_t at = place.head * a.rows + place.begin + q.n;
  p.rows.top[at] = r.top;
  p.rows.inverse_mass[at] = inverse_mass;
  p.rows.row_max[at] = r.most;
  p.rows.inverse_den[at] = inverse_den;
  p.rows.kept[at] = kept;
  // What is not finite shows, whatever maxima and comparisons make of it.
  p.rows.cross[at] = any ? cross + 0.0f * den : 0.0f;
  p.rows.entropy[at] = any ? logf(r.mass) - r.entropy * inverse_mass : 0.0f;
  p.plain.dfactor[at] =
      (a.affine ? dgamma - dalpha : dgamma) * q.gamma * (1 - q.gamma);
}

// One tile of keys of a head: dphi_k.
template <int kTiles>
__global__ void __launch_bounds__(kThreads)
    KeyTiles(const __grid_constant__ Problem p, float scale) {
  extern __shared__ __align__(128) char memory[];
  const Args& a = p.a;
  const Place place = PlaceOf(p);
  if (place.count <= 0) return;
  if (!AnyLinear(a.terms[place.sequence * a.H + place.head])) return;
  const Shared s = Cut(p, memory);
  const int64_t key = place.begin + place.first;
  LoadInputs(a.k, key, place.count, place.kv, a.D, s.d_stride, s.k);
  LoadFeatures(p, p.plain.phi_k, key, place.count, place.head, s.f_stride,
               s.phi_k);
  Sums sums[kTiles];
#pragma unroll
  for (int b = 0; b < kTiles; ++b) wmma::fill_fragment(sums[b], 0.0f);
  const float* const statistics[] = {p.rows.top, p.rows.inverse_mass,
                                     p.rows.row_max, p.rows.inverse_den,
                                     p.rows.kept};
  for (int first = place.first; first < place.length; first += kTile) {
    const int count = min(kTile, place.length - first);
    const int64_t row = place.begin + first;
    __syncthreads();
    LoadInputs(a.q, row, count, place.head, a.D, s.d_stride, s.q);
    LoadFeatures(p, p.plain.phi_q, row, count, place.head, s.f_stride, s.phi_q);
    for (int i = threadIdx.x; i < 5 * kTile; i += kThreads) {
      const int r = i % kTile;
      s.rows[i] = r < count
                      ? statistics[i / kTile][place.head * a.rows + row + r]
                      : 0.0f;
    }
    __syncthreads();
    Products(s.q, s.k, a.D, s.d_stride, s.scores);
    Products(s.phi_q, s.phi_k, p.features, s.f_stride, s.linear);
    __syncwarp();
    const Query q = QueryOf(a, place, first, count);
    const float* const own = s.rows + threadIdx.x / 2;
    GradientSums unused;
    GradientOf(a, s, q, place.first, scale, own[0], own[kTile], own[2 * kTile],
               own[3 * kTile], own[4 * kTile], &unused);
    __syncthreads();
    const int mine = threadIdx.x / 32 * 16;
    for (int r = 0; r < kTile; r += 16) {
      Turned turned;
      wmma::load_matrix_sync(turned, s.gradient + r * kGradients + mine,
                             kGradients);
#pragma unroll
      for (int b = 0; b < kTiles; ++b) {
        const int f = place.first_feature + 16 * b;
        if (f >= p.features) break;
        Along columns;
        wmma::load_matrix_sync(columns, s.phi_q + r * s.f_stride + f,
                               s.f_stride);
        wmma::mma_sync(sums[b], turned, columns, sums[b]);
      }
    }
  }
  __syncthreads();
  StoreFeatures<kTiles>(p, place, sums,
                        s.scores + threadIdx.x / 32 * 16 * kScores,
                        p.plain.dphi_k);
}

constexpr int kSumThreads = 1024;

// One block: *out += the sum, in a fixed order.
__global__ void __launch_bounds__(kSumThreads)
    AddSum(const float* values, int64_t n, double* out) {
  __shared__ double sums[kSumThreads];
  double sum = 0;
  for (int64_t i = threadIdx.x; i < n; i += kSumThreads) sum += values[i];
  sums[threadIdx.x] = sum;
  __syncthreads();
  for (int half = kSumThreads / 2; half > 0; half /= 2) {
    if (threadIdx.x < half) sums[threadIdx.x] += sums[threadIdx.x + half];
    __syncthreads();
  }
  if (threadIdx.x == 0) *out += sums[0];
}

// `memory` null: only the size counts.
size_t Allocate(char* memory, Problem* p) {
  size_t bytes = 0;
  const auto take = [&](float*& pointer, int64_t count) {
    pointer =
        reinterpret_cast<float*>(reinterpret_cast<uintptr_t>(memory) + bytes);
    bytes += Aligned(count * sizeof(float));
  };
  const int64_t all = p->a.H * p->a.rows;
  PlainScratch& s = p->plain;
  for (float** f : {&s.phi_q, &s.phi_k, &s.dphi_q, &s.dphi_k}) {
    take(*f, all * p->a.Fout);
  }
  take(s.dfactor, all);
  take(s.weight_parts, PlainWeightParts(p->a));
  RowStatistics& r = p->rows;
  for (float** f : {&r.top, &r.inverse_mass, &r.row_max, &r.inverse_den,
                    &r.kept, &r.cross, &r.entropy}) {
    take(*f, all);
  }
  return bytes;
}

Problem Bind(const HybridAttentionConfig& config,
             const HybridAttentionInputs& in) {
  Problem p = {};
  p.a = BindInputs(config, in);
  p.features = (p.a.Fout + 15) / 16 * 16;
  p.parts = std::max(1, (p.features + kPartFeatures - 1) / kPartFeatures);
  CARACAL_CHECK(p.a.D % 16 == 0) << "head dimension " << p.a.D;
  CARACAL_CHECK(p.features <= WeightLossCudaMostFeatures(p.a.D))
      << p.a.Fout << " features";
  return p;
}

template <int kTiles>
void Launch(const Problem& p, float scale, int64_t longest,
            cudaStream_t stream) {
  const size_t bytes = SharedBytes(p.a.D, p.features);
  const dim3 grid(static_cast<unsigned>((longest + kTile - 1) / kTile), p.a.H,
                  p.a.sequences * p.parts);
  CARACAL_LAUNCHER_CHECK(cudaFuncSetAttribute(
      QueryTiles<kTiles>, cudaFuncAttributeMaxDynamicSharedMemorySize, bytes));
  QueryTiles<kTiles><<<grid, kThreads, bytes, stream>>>(p, scale);
  CARACAL_CUDA_CHECK_LAUNCH();
  if (p.a.F == 0) return;
  CARACAL_LAUNCHER_CHECK(cudaFuncSetAttribute(
      KeyTiles<kTiles>, cudaFuncAttributeMaxDynamicSharedMemorySize, bytes));
  KeyTiles<kTiles><<<grid, kThreads, bytes, stream>>>(p, scale);
  CARACAL_CUDA_CHECK_LAUNCH();
}

}  // namespace

size_t AttentionWeightLossCudaWorkspaceBytes(
    const HybridAttentionConfig& config, const HybridAttentionInputs& in) {
  Problem p = Bind(config, in);
  return TableBytes(p.a) + Allocate(nullptr, &p);
}

void AttentionWeightLossBackwardCuda(
    const Context& ctx, const HybridAttentionConfig& config,
    const HybridAttentionInputs& in, float scale,
    const HybridAttentionGradients& grads, double* cross_entropy,
    double* teacher_entropy, Workspace workspace) {
  CARACAL_CHECK(!grads.dq.defined() && !grads.dk.defined() &&
                !grads.dv.defined())
      << "scores are frozen";
  Problem p = Bind(config, in);
  Args& a = p.a;
  BindMapGradients(grads, a);
  a.dwindow_factor = BindF32(grads.dwindow_factor, a.H);
  const size_t bytes = AttentionWeightLossCudaWorkspaceBytes(config, in);
  CARACAL_CHECK(workspace.bytes >= bytes) << workspace.bytes << " of " << bytes;
  if (a.rows == 0) return;
  const auto stream = static_cast<cudaStream_t>(ctx.stream);
  Allocate(UploadTables(in, workspace.data, stream, a), &p);
  int64_t longest = 0;
  for (int64_t i = 0; i < in.sequences; ++i) {
    longest = std::max(longest, in.offsets[i + 1] - in.offsets[i]);
  }
  PlainFeatures(a, p.plain, stream);
  if (p.features <= 128) {
    Launch<8>(p, scale, longest, stream);
  } else {
    Launch<16>(p, scale, longest, stream);
  }
  PlainFeatureBackward(a, p.plain, stream);
  PlainParameterGradients(a, p.plain, stream);
  for (const auto& [values, sum] :
       {std::pair(p.rows.cross, cross_entropy),
        std::pair(p.rows.entropy, teacher_entropy)}) {
    if (sum == nullptr) continue;
    AddSum<<<1, kSumThreads, 0, stream>>>(values, a.H * a.rows, sum);
    CARACAL_CUDA_CHECK_LAUNCH();
  }
}

}  // namespace caracal::kernels
