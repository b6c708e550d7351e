// What the two kernels of the attention-weight loss share: tiles of scores and
// of linear terms by tensor cores (sm_80's), in shared memory; what is done
// with them, by two threads a query: those of the warp that made its rows. For
// weight_loss_cuda.cu only.
#ifndef CARACAL_KERNELS_HYBRID_ATTENTION_WEIGHT_LOSS_CUDA_TILES_H_
#define CARACAL_KERNELS_HYBRID_ATTENTION_WEIGHT_LOSS_CUDA_TILES_H_

#include <mma.h>

#include "kernels/hybrid_attention/hybrid_attention_cuda_plain.h"
#include "kernels/hybrid_attention/hybrid_attention_cuda_plain_row.h"
#include "kernels/hybrid_attention/weight_loss_cuda.h"

namespace caracal::kernels::cuda::weight_loss {

namespace wmma = nvcuda::wmma;
using Memory = WeightLossCudaMemory;

static_assert(Memory::kRows == kTile);
constexpr int kThreads = 128;        // four warps of 16 rows
constexpr int kColumns = kTile / 2;  // of a thread: half a row
constexpr int kScores = Memory::kScores, kGradients = Memory::kGradients;
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
  Memory memory{0, 0};
};

// One block's shared memory.
struct Shared {
  bf16 *q, *phi_q, *k, *phi_k, *gradient;
  float *scores, *linear;
  float* rows;  // statistics of a tile of queries
  int d_stride, f_stride;
};

__device__ __forceinline__ Shared Cut(const Problem& p, char* memory) {
  const auto halves = [&](size_t at) {
    return reinterpret_cast<bf16*>(memory + at);
  };
  const auto floats = [&](size_t at) {
    return reinterpret_cast<float*>(memory + at);
  };
  const Memory& at = p.memory;
  return {halves(at.q),         halves(at.phi_q),
          halves(at.k),         halves(at.phi_k),
          halves(at.gradient),  floats(at.scores),
          floats(at.linear),    floats(at.rows),
          p.a.D + Memory::kPad, p.features + Memory::kPad};
}

// Rows [row, row + count) of x, and zeros up to a tile.
__device__ __forceinline__ void LoadInputs(const HeadRows<const bf16>& x,
                                           int64_t row, int count, int head,
                                           int D, int stride, bf16* to) {
  const int packs = D / 8;
  for (int i = threadIdx.x; i < kTile * packs; i += kThreads) {
    const int r = i / packs, c = i % packs * 8;
    uint4 v = make_uint4(0, 0, 0, 0);
    if (r < count)
      v = *reinterpret_cast<const uint4*>(At(x, row + r, head) + c);
    *reinterpret_cast<uint4*>(to + r * stride + c) = v;
  }
}

__device__ __forceinline__ void LoadFeatures(const Problem& p, const float* phi,
                                             int64_t row, int count, int head,
                                             int stride, bf16* to) {
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
__device__ __forceinline__ void Products(const bf16* x, const bf16* y, int n,
                                         int stride, float* to) {
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

// Adds this warp's 16 rows of x y to sums: x [16, 64] in parts of 16 columns,
// `step` apart from `x` on, that the fragment Part reads; y [64, stride] the
// rows of features of which the block makes gradients.
template <typename Part, int kTiles>
__device__ __forceinline__ void AddFeatures(const bf16* x, int step,
                                            const bf16* y, int stride,
                                            int first_feature, int features,
                                            Sums (&sums)[kTiles]) {
  for (int r = 0; r < kTile; r += 16) {
    Part part;
    wmma::load_matrix_sync(part, x + r / 16 * step, kGradients);
#pragma unroll
    for (int b = 0; b < kTiles; ++b) {
      const int f = first_feature + 16 * b;
      if (f >= features) break;
      Along columns;
      wmma::load_matrix_sync(columns, y + r * stride + f, stride);
      wmma::mma_sync(sums[b], part, columns, sums[b]);
    }
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
  p.head = blockIdx.y / problem.parts;
  p.kv = KvHead(a, p.head);
  p.sequence = blockIdx.z;
  p.first_feature = blockIdx.y % problem.parts * kPartFeatures;
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
  q.terms = TermsOf(a, p.sequence, p.head);
  q.gamma = Gamma(a, p.head);
  q.alpha = Alpha(a, q.gamma);
  q.root = rsqrtf(static_cast<float>(a.D));
  return q;
}

// The student's term of a key before it is normalised.
__device__ __forceinline__ float StudentTerm(const Query& q, float score,
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
                StudentTerm(q, score, row_max, linear, softmax, is_linear) *
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
__device__ __forceinline__ void StoreFeatures(const Problem& p,
                                              const Place& place,
                                              const Sums (&sums)[kTiles],
                                              float* staging, float* to) {
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

}  // namespace caracal::kernels::cuda::weight_loss

#endif  // CARACAL_KERNELS_HYBRID_ATTENTION_WEIGHT_LOSS_CUDA_TILES_H_
