// What the two kernels of the attention-weight loss share: a block has rows of
// its own, 16 a warp, and tiles of 64 rows of the other side come by. Scores
// and linear terms [16, 64] of a warp and a tile are made by tensor cores
// (sm_80's) and stay in its registers, where what is made of them is the next
// product's operand. For weight_loss_cuda.cu only.
#ifndef CARACAL_KERNELS_HYBRID_ATTENTION_WEIGHT_LOSS_CUDA_TILES_H_
#define CARACAL_KERNELS_HYBRID_ATTENTION_WEIGHT_LOSS_CUDA_TILES_H_

#include "kernels/common/cuda_mma.h"
#include "kernels/common/cuda_shared.h"
#include "kernels/common/cuda_softmax.h"
#include "kernels/hybrid_attention/hybrid_attention_cuda_plain.h"
#include "kernels/hybrid_attention/weight_loss_cuda.h"

namespace caracal::kernels::cuda::weight_loss {

using Memory = WeightLossCudaMemory;

static_assert(Memory::kRows == kTile);
constexpr int kThreads = 128;  // four warps of 16 rows
// Features whose gradients a block makes: so many registers a thread are half
// of that.
constexpr int kPartFeatures = 256;
static_assert(Memory::kStatistics * kTile * sizeof(float) >= 2 * kPartFeatures);

// Blocks that share a multiprocessor, whose warps hold 16 kTiles features'
// gradients: while one waits for a tile the others have theirs.
constexpr int BlocksBeside(int tiles) { return tiles <= 8 ? 3 : 2; }

// What a row needs to know of its keys, [H, rows] each.
struct RowStatistics {
  float* shift;          // of the teacher: log2 sum exp(score)
  float* student_shift;  // log2 of what its softmax terms are divided by
  float* inverse_den;
  float* kept;  // the teacher's mass above the student's floor
  float *cross, *entropy;
};

struct Problem {
  Args a;
  PlainScratch plain;
  bf16 *phi_q, *phi_k;  // [H, rows, features], zeros from Fout on
  RowStatistics rows;
  int features;  // Fout, to a multiple of 16
  int parts;     // blocks that share a tile's gradients of features
  Memory memory{0, 0};
};

// A warp's [16, 64]: lane l has of rows l / 4 + 8 r columns 8 b + 2 (l % 4) + c
// at [b][2 r + c].
using Pairs = float[kTile / 8][4];

__device__ __forceinline__ float Log2(float x) {
  float y;
  asm("lg2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}
__device__ __forceinline__ float Reciprocal(float x) {
  float y;
  asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}

// One block's shared memory.
struct Shared {
  bf16 *own_x, *own_phi, *x, *phi;
  float* rows;  // statistics of a tile of queries
  int d_stride, f_stride;
};

__device__ __forceinline__ Shared Cut(const Problem& p, char* memory) {
  const auto halves = [&](size_t at) {
    return reinterpret_cast<bf16*>(memory + at);
  };
  const Memory& at = p.memory;
  return {halves(at.own_x),
          halves(at.own_phi),
          halves(at.tile_x),
          halves(at.tile_phi),
          reinterpret_cast<float*>(memory + at.rows),
          p.a.D + Memory::kPad,
          p.features + Memory::kPad};
}

// Begins the way of `count` rows of n elements, a multiple of 8, from `from` on
// to a tile, whose others become zeros.
__device__ __forceinline__ void LoadRows(const bf16* from, int64_t stride,
                                         int count, int n, int to_stride,
                                         bf16* to) {
  // Eight threads a row: 128 bytes at a time.
#pragma unroll
  for (int i = 0; i < kTile; i += kThreads / 8) {
    const int r = i + threadIdx.x / 8;
    const bool in = r < count;
    const bf16* const row = in ? from + r * stride : from;
    const uint32_t at = SharedAddress(to + r * to_stride);
    for (int c = threadIdx.x % 8 * 8; c < n; c += 64) {
      CopyAsync(at + 2 * c, row + c, in);
    }
  }
}

// The rows of a block of a head.
struct Place {
  int head, kv, sequence, first;  // the first row's position
  int64_t begin;                  // the sequence's first row
  int length, count;              // rows of the sequence, and of the block
  int terms, phase;
  int first_feature;  // of those whose gradients the block makes
};

__device__ __forceinline__ Place PlaceOf(const Problem& problem, int block) {
  const Args& a = problem.a;
  Place p;
  p.head = blockIdx.y / problem.parts;
  p.kv = KvHead(a, p.head);
  p.sequence = blockIdx.z;
  p.first_feature = blockIdx.y % problem.parts * kPartFeatures;
  p.begin = a.offsets[p.sequence];
  p.length = static_cast<int>(a.offsets[p.sequence + 1] - p.begin);
  p.first = block * kTile;
  p.count = min(kTile, p.length - p.first);
  p.terms = TermsOf(a, p.sequence, p.head);
  p.phase = Phase(a, p.length);
  return p;
}

// Where row `row` of the sequence has its features.
__device__ __forceinline__ const bf16* FeaturesAt(const Problem& p,
                                                  const bf16* phi,
                                                  const Place& place, int row) {
  return phi + (place.head * p.a.rows + place.begin + row) * p.features;
}

// Brings tiles first, first + kTile, ... before `end` one after another:
// load(first) begins the way of one, use(first) finds it there. All threads
// call it.
template <typename Load, typename Use>
__device__ __forceinline__ void ForTiles(int first, int end, const Load& load,
                                         const Use& use) {
  for (; first < end; first += kTile) {
    load(first);
    CopyCommit();
    CopyWait();
    __syncthreads();
    use(first);
    __syncwarp();  // lanes may have parted
    __syncthreads();
  }
}

// This warp's 16 rows of x y^T; n, a multiple of 16, is what the sums run over.
__device__ __forceinline__ void Products(const bf16* x, const bf16* y, int n,
                                         int stride, Pairs& sums) {
  __syncwarp();
  const int lane = threadIdx.x % 32;
  const uint32_t rows = SharedAddress(
      x + (threadIdx.x / 32 * 16 + lane % 16) * stride + lane / 16 * 8);
  const uint32_t columns =
      SharedAddress(y + (lane % 8 + lane / 16 * 8) * stride + lane / 8 % 2 * 8);
#pragma unroll
  for (auto& block : sums) {
#pragma unroll
    for (float& s : block) s = 0;
  }
#pragma unroll 2
  for (int c = 0; c < n; c += 16) {
    uint32_t a[4];
    LoadMatrices(rows + 2 * c, a);
#pragma unroll
    for (int b = 0; b < kTile / 16; ++b) {
      uint32_t w[4];
      LoadMatrices(columns + 32 * b * stride + 2 * c, w);
      Mma(sums[2 * b], a, w[0], w[1]);
      Mma(sums[2 * b + 1], a, w[2], w[3]);
    }
  }
}

// Adds x y to the sums of 16 kTiles features from `first` on: x this warp's
// [16, 64], rounded, y [64, stride]. Features that are not there get sums of
// whatever lies behind a row; nobody stores them, and a branch a tile would
// cost all others more. (Behind the last row lie the statistics: more bytes
// than there may be too few features.)
template <int kTiles>
__device__ __forceinline__ void AddFeatures(const Pairs& x, const bf16* y,
                                            int stride, int first,
                                            float (&sums)[2 * kTiles][4]) {
  __syncwarp();
  const int lane = threadIdx.x % 32;
  const uint32_t at =
      SharedAddress(y + lane % 16 * stride + first + lane / 16 * 8);
#pragma unroll
  for (int r = 0; r < kTile / 16; ++r) {
    uint32_t a[4];
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const float* const pair = x[2 * r + i / 2] + i % 2 * 2;
      const __nv_bfloat162 two = __floats2bfloat162_rn(pair[0], pair[1]);
      a[i] = *reinterpret_cast<const uint32_t*>(&two);
    }
#pragma unroll
    for (int b = 0; b < kTiles; ++b) {
      MmaRows(sums[2 * b], sums[2 * b + 1], a, at + 32 * (r * stride + b));
    }
  }
}

// This warp's rows of [rows of the block, features of the block] to rows of
// phi's layout.
template <int kTiles>
__device__ __forceinline__ void StoreFeatures(
    const Problem& p, const Place& place, const float (&sums)[2 * kTiles][4],
    float* to) {
  const int lane = threadIdx.x % 32;
#pragma unroll
  for (int r = 0; r < 2; ++r) {
    const int row = threadIdx.x / 32 * 16 + lane / 4 + 8 * r;
    if (row >= place.count) continue;
    float* const out =
        to +
        (place.head * p.a.rows + place.begin + place.first + row) * p.a.Fout;
#pragma unroll
    for (int b = 0; b < 2 * kTiles; ++b) {
#pragma unroll
      for (int c = 0; c < 2; ++c) {
        const int f = place.first_feature + 8 * b + lane % 4 * 2 + c;
        if (f < p.a.Fout) out[f] = sums[b][2 * r + c];
      }
    }
  }
}

// Which of a thread's pairs of a query and a key are what: bit 4 b + 2 r + c.
struct PairTerms {
  uint32_t softmax = 0, linear = 0, in_set = 0;

  // Position n has a window that begins at `start`; n < 0: there is none.
  __device__ __forceinline__ void Add(const Args& a, int terms, int n,
                                      int start, int j, int bit) {
    const bool in = j <= n;
    softmax |= uint32_t{in && SoftmaxTerm(a, terms, start, j)} << bit;
    linear |= uint32_t{in && LinearTerm(a, terms, start, j)} << bit;
    in_set |= uint32_t{in && InSoftmaxSet(a, start, j)} << bit;
  }
  __device__ __forceinline__ bool teacher(int bit) const {
    return (softmax | linear) >> bit & 1;
  }
};

// Whether all queries from n on have linear terms of keys [first, last], and
// nothing else that counts.
__device__ __forceinline__ bool LinearThroughout(const Args& a,
                                                 const Place& place, int first,
                                                 int last, int n) {
  if (last > n || !(place.terms & kLinearPastTerms)) return false;
  if ((place.terms & kLinearNearTerms) && !AnySoftmax(place.terms)) return true;
  return first >= a.sinks && last < Start(a, n, place.phase);
}

// Whether queries from n on have no terms of keys [first, last]: these have
// left their windows for good.
__device__ __forceinline__ bool Left(const Args& a, const Place& place,
                                     int first, int last, int n) {
  return !(place.terms & kLinearPastTerms) && first >= a.sinks &&
         last < Start(a, n, place.phase);
}

}  // namespace caracal::kernels::cuda::weight_loss

#endif  // CARACAL_KERNELS_HYBRID_ATTENTION_WEIGHT_LOSS_CUDA_TILES_H_
