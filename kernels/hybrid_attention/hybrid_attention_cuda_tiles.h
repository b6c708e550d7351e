// What the Hopper kernels share: segments, tiles in shared memory, masks.
// Included only by sources compiled for sm_90a.
//
// A block has two warpgroups and works on one head of one segment, 64 rows at
// a time. All tiles have 64 rows; D is padded to DP = 64 or 128 columns, F to
// 64, so features have 128 columns: softmax(z), then softmax(-z).
#ifndef CARACAL_KERNELS_HYBRID_ATTENTION_HYBRID_ATTENTION_CUDA_TILES_H_
#define CARACAL_KERNELS_HYBRID_ATTENTION_HYBRID_ATTENTION_CUDA_TILES_H_

#include "kernels/common/cuda_accumulators.h"
#include "kernels/common/cuda_wgmma.h"
#include "kernels/hybrid_attention/hybrid_attention_cuda_hopper_kernels.h"

namespace caracal::kernels::cuda {

inline constexpr int kBlock = 2 * kGroup;
inline constexpr int kFeatures = 64;          // F, padded
inline constexpr int kOutputs = 128;          // Fout, padded
inline constexpr int kPanel = kTile * 128;    // bytes of 64 rows, 64 columns
inline constexpr int kPhiBytes = 2 * kPanel;  // a tile of features

// Bytes of 64 rows of q, k, v or dy.
template <int DP>
inline constexpr int kRowsBytes = DP / 64 * kPanel;
// Bytes of a feature map's weights [DP, 64].
template <int DP>
inline constexpr int kWeightBytes = DP * 128;
// Bytes of a state [128, DP] in bf16.
template <int DP>
inline constexpr int kStateBytes = DP / 64 * kOutputs * 128;

__device__ __forceinline__ void StoreShared(uint32_t at, uint32_t value) {
  asm volatile("st.shared.b32 [%0], %1;" ::"r"(at), "r"(value) : "memory");
}
__device__ __forceinline__ uint32_t LoadShared(uint32_t at) {
  uint32_t value;
  asm volatile("ld.shared.b32 %0, [%1];" : "=r"(value) : "r"(at) : "memory");
  return value;
}

// Rows [row, row + count) of one head, zeros after them; asynchronous.
template <int DP>
__device__ __forceinline__ void LoadRows(uint32_t tile,
                                         const HeadRows<const bf16>& x,
                                         int64_t row, int count, int head,
                                         int D) {
  constexpr int kPieces = DP / 8, kStep = kBlock / kPieces;
  int first = threadIdx.x / kPieces;
  asm volatile("" : "+r"(first));  // made again, not kept
  const int c = threadIdx.x % kPieces * 8;
  const bool inside = c < D;
  const bf16* from = At(x, row + first, head) + (inside ? c : 0);
  const uint32_t to = tile + TileOffset(kPanel, first, c);
  // kStep is a multiple of 8: the swizzle does not change.
#pragma unroll
  for (int i = 0; i < kTile / kStep; ++i) {
    const bool valid = inside && first + i * kStep < count;
    CopyAsync(to + i * kStep * 128, valid ? from + i * kStep * x.row : x.data,
              valid);
  }
}

// A head's weights, which already lie as they do here; asynchronous.
template <int DP>
__device__ __forceinline__ void LoadWeight(uint32_t tile, const bf16* weights,
                                           int head, int threads = kBlock) {
  const bf16* from = weights + head * DP * kFeatures;
  for (int i = threadIdx.x; i < kWeightBytes<DP> / 16; i += threads) {
    CopyAsync(tile + i * 16, from + i * 8, true);
  }
}

__device__ __forceinline__ float WarpSum(float x) {
  for (int m = 16; m > 0; m /= 2) x += __shfl_xor_sync(~0u, x, m);
  return x;
}

// Which of the block's two warpgroups; known to the compiler to be the same for
// a warp.
__device__ __forceinline__ int Warpgroup() {
  return __shfl_sync(~0u, threadIdx.x / kGroup, 0);
}

// A barrier of one warpgroup.
__device__ __forceinline__ void SyncWarpgroup(int group) {
  asm volatile("bar.sync %0, %1;" ::"r"(1 + group), "n"(kGroup) : "memory");
}

// Where this thread's accumulators lie in a tile: those of index 4 b + 2 r at
// (ThreadPlace ^ b << 4) + 1024 r, b < 8.
__device__ __forceinline__ uint32_t ThreadPlace(uint32_t tile) {
  const int row = ThreadRow();
  uint32_t place = tile + row * 128 + (row % 8 << 4) + ThreadColumn() * 2;
  // The addresses made from it are cheap to make again, dear to keep.
  asm volatile("" : "+r"(place));
  return place;
}

// Accumulators [64, 64] to a panel of a tile.
__device__ __forceinline__ void StorePanel(uint32_t panel,
                                           const float (&x)[32]) {
  const uint32_t place = ThreadPlace(panel);
#pragma unroll
  for (int b = 0; b < 8; ++b) {
    const uint32_t at = place ^ (b << 4);
    StoreShared(at, PackBf16(x[4 * b], x[4 * b + 1]));
    StoreShared(at + 1024, PackBf16(x[4 * b + 2], x[4 * b + 3]));
  }
}

// This warpgroup's 64 rows (features 64 group + ...) of a state, rounded, to
// its tile.
template <int DP>
__device__ __forceinline__ void StoreState(uint32_t tile, int group,
                                           const float (&state)[DP / 2]) {
  const uint32_t place = ThreadPlace(tile + group * 64 * 128);
#pragma unroll
  for (int b = 0; b < DP / 8; ++b) {
    const uint32_t at = (place ^ (b % 8 << 4)) + b / 8 * kOutputs * 128;
    StoreShared(at, PackBf16(state[4 * b], state[4 * b + 1]));
    StoreShared(at + 1024, PackBf16(state[4 * b + 2], state[4 * b + 3]));
  }
}

__device__ __forceinline__ float2 UnpackBf16(uint32_t both) {
  return make_float2(__uint_as_float(both << 16),
                     __uint_as_float(both & 0xffff0000u));
}

// Elements 4 b to 4 b + 3 of accumulators that a thread leaves for that of the
// same place in the other warpgroup, or for itself.
__device__ __forceinline__ float4& Slot(char* memory, int b) {
  return reinterpret_cast<float4*>(memory)[b * kGroup + threadIdx.x % kGroup];
}
// The same four to a panel of a tile.
__device__ __forceinline__ void StoreFour(uint32_t panel, int b, float4 x) {
  const uint32_t at = ThreadPlace(panel) ^ (b << 4);
  StoreShared(at, PackBf16(x.x, x.y));
  StoreShared(at + 1024, PackBf16(x.z, x.w));
}
__device__ __forceinline__ float4 operator+(float4 x, float4 y) {
  return make_float4(x.x + y.x, x.y + y.y, x.z + y.z, x.w + y.w);
}

// Splits a sum of both warpgroups' accumulators: `half` becomes this
// warpgroup's half of the columns. Both memories hold n * kGroup floats; has a
// barrier inside.
template <int n>
__device__ __forceinline__ void AddHalves(int group, const float (&x)[2 * n],
                                          char* of0, char* of1,
                                          float (&half)[n]) {
  if (group == 0) {
#pragma unroll
    for (int i = 0; i < n; i += 4) {
      Slot(of0, i / 4) =
          make_float4(x[n + i], x[n + i + 1], x[n + i + 2], x[n + i + 3]);
    }
  } else {
#pragma unroll
    for (int i = 0; i < n; i += 4) {
      Slot(of1, i / 4) = make_float4(x[i], x[i + 1], x[i + 2], x[i + 3]);
    }
  }
  __syncthreads();
  if (group == 0) {
#pragma unroll
    for (int i = 0; i < n; ++i) half[i] = x[i];
  } else {
#pragma unroll
    for (int i = 0; i < n; ++i) half[i] = x[n + i];
  }
  char* const take = group == 0 ? of1 : of0;
#pragma unroll
  for (int i = 0; i < n; i += 4) {
    const float4 add = Slot(take, i / 4);
    half[i] += add.x;
    half[i + 1] += add.y;
    half[i + 2] += add.z;
    half[i + 3] += add.w;
  }
}

// Sets of a thread's 16 elements of a row, as bits: bit i is column
// 8 (i / 2) + i % 2 from the thread's first column on.
// Those in [first, last] (relative to the thread's first column).
__device__ __forceinline__ uint32_t Below(int end) {
  const int x = min(max(end, 0), kTile);
  return (1u << (x / 8 * 2 + min(x % 8, 2))) - 1;
}
__device__ __forceinline__ uint32_t Between(int first, int last) {
  return Below(last + 1) & ~Below(first);
}
// Bits of both rows of a thread; element 4 b + 2 r + c is bit 16 r + 2 b + c.
__device__ __forceinline__ bool Has(uint32_t bits, int element) {
  return bits >> (element % 4 / 2 * 16 + element / 4 * 2 + element % 2) & 1;
}

// Which elements of a tile [rows, keys] are in the softmax set, have a softmax
// term, have a linear term.
struct TermBits {
  uint32_t set = 0, softmax = 0, linear = 0;

  // Keys from j0 on, rows n0 + ThreadRow() + {0, 8}.
  static __device__ __forceinline__ TermBits OfRows(const Args& a, int terms,
                                                    int n0, int j0) {
    TermBits bits;
    const int first = j0 + ThreadColumn();
    const int sinks = a.sinks - first;  // keys before are sinks
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      const int n = n0 + ThreadRow() + 8 * r;
      const int last = n - first, start = Start(a, n) - first;
      const uint32_t near = Between(start, last);
      const uint32_t sink = Below(min(sinks, last + 1));
      bits.Add(terms, r, near & ~sink, near & sink, sink & ~near,
               Between(sinks, start - 1) & Below(last + 1));
    }
    return bits;
  }
  // Transposed: rows are keys j0 + ThreadRow() + {0, 8}, columns rows from n0.
  static __device__ __forceinline__ TermBits OfKeys(const Args& a, int terms,
                                                    int j0, int n0) {
    TermBits bits;
    const int first = n0 + ThreadColumn();
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      const int j = j0 + ThreadRow() + 8 * r;
      const int near_end =
          a.terraced ? (j / a.window + 2) * a.window : j + a.window;
      const uint32_t near = Between(j - first, near_end - 1 - first);
      const uint32_t far = ~Below(max(near_end, j) - first) & 0xffff;
      const bool sink = j < a.sinks;
      bits.Add(terms, r, sink ? 0 : near, sink ? near : 0, sink ? far : 0,
               sink ? 0 : far);
    }
    return bits;
  }

 private:
  __device__ __forceinline__ void Add(int terms, int r, uint32_t near,
                                      uint32_t near_sink, uint32_t far_sink,
                                      uint32_t past) {
    const uint32_t all = near | near_sink | far_sink;
    const uint32_t kept = (terms & kNearTerms ? near : 0) |
                          (terms & kNearSinkTerms ? near_sink : 0) |
                          (terms & kFarSinkTerms ? far_sink : 0);
    const uint32_t lin = (terms & kLinearNearTerms ? all : 0) |
                         (terms & kLinearPastTerms ? past : 0);
    set |= all << (16 * r);
    softmax |= kept << (16 * r);
    linear |= lin << (16 * r);
  }
};

// A bf16 operand [8 or more, any] of ones: all its 8 x 8 blocks are the same
// 128 bytes.
inline constexpr int kOnesBytes = 128;
struct Ones {
  static constexpr int kTransposed = 0;
  uint32_t base;
  __device__ __forceinline__ uint64_t Descriptor(int) const {
    return (base & 0x3ffff) >> 4;
  }
};
__device__ __forceinline__ void FillOnes(char* ones) {
  if (threadIdx.x < kOnesBytes / 4) {
    reinterpret_cast<uint32_t*>(ones)[threadIdx.x] = 0x3f803f80;
  }
}

// Which sums add up to what a segment begins with (suffix: ends with).
struct Border {
  int first, last;  // of [count pieces]

  __device__ __forceinline__ Border(const HopperScratch& scratch,
                                    const Segment& segment, int slot,
                                    bool suffix) {
    const int right = segment.count - 1 - segment.number;
    first = suffix ? slot + 1 : slot - segment.number;
    last = first + (suffix ? right : segment.number);
    if (scratch.scanned && first < last) {
      first = slot;
      last = slot + 1;
    }
    first *= scratch.pieces;
    last *= scratch.pieces;
  }
};

// Adds a border's sums to a state: the features 64 half + ....
template <int DP>
__device__ __forceinline__ void AddBorder(const BorderSums& sums,
                                          const Border& border, int H, int head,
                                          int half, float (&state)[DP / 2],
                                          float (&norm)[4]) {
  const int row = 64 * half + ThreadRow();
#pragma unroll 1
  for (int i = border.first; i < border.last; ++i) {
    const int64_t at = static_cast<int64_t>(i) * H + head;
    const float4* from =
        reinterpret_cast<const float4*>(sums.state + at * kOutputs * DP) +
        half * DP / 8 * kGroup + threadIdx.x % kGroup;
#pragma unroll
    for (int b = 0; b < DP / 8; ++b) {
      const float4 x = from[b * kGroup];
      state[4 * b] += x.x;
      state[4 * b + 1] += x.y;
      state[4 * b + 2] += x.z;
      state[4 * b + 3] += x.w;
    }
    const float* norms = sums.norm + at * kOutputs + row;
    norm[0] += norms[0];
    norm[1] += norms[0];
    norm[2] += norms[8];
    norm[3] += norms[8];
  }
}

__device__ __forceinline__ void StoreNorm(float* to, int group,
                                          const float (&norm)[4]) {
  if (ThreadColumn() != 0) return;
  to[64 * group + ThreadRow()] = norm[0];
  to[64 * group + ThreadRow() + 8] = norm[2];
}

// Zeroes a tile of features but for its first `keep` rows.
__device__ __forceinline__ void KeepRows(char* phi, int keep) {
  for (int i = threadIdx.x; i < kPhiBytes / 4; i += kBlock) {
    if (i % (kPanel / 4) / 32 >= keep) reinterpret_cast<uint32_t*>(phi)[i] = 0;
  }
}

// A segment's part of a weight's gradient, rows 64 group + ....
__device__ __forceinline__ void StoreWeightPart(float* to, int group,
                                                const float (&part)[32]) {
#pragma unroll
  for (int i = 0; i < 32; i += 2) {
    const int d = 64 * group + ThreadRow() + i % 4 / 2 * 8;
    *reinterpret_cast<float2*>(to + d * kFeatures + i / 4 * 8 +
                               ThreadColumn()) =
        make_float2(part[i], part[i + 1]);
  }
}

// Sum over the block, for thread 0. Starts with a barrier; `memory` holds 8
// floats.
__device__ __forceinline__ float BlockSum(float x, float* memory) {
  x = WarpSum(x);
  __syncthreads();
  if (threadIdx.x % 32 == 0) memory[threadIdx.x / 32] = x;
  __syncthreads();
  float sum = 0;
  for (int i = 0; i < kBlock / 32; ++i) sum += memory[i];
  return sum;
}

// Which tiles rows [n, n + 64) look at one by one: far sinks' first, then the
// window's. Element u of the list is tile Tile(u).
struct TileList {
  int sinks = 0;  // tiles of far sinks
  int first = 0;  // of the window's tiles; a state holds what is before
  int count = 0;
  int linear_end = 0;  // tiles [first, linear_end) have linear terms

  TileList() = default;
  __device__ __forceinline__ TileList(const Args& a, int terms, int n) {
    first = StateEnd(a, n) / kTile;
    sinks = min((static_cast<int>(a.sinks) + kTile - 1) / kTile, first);
    count = sinks + n / kTile - first + 1;
    linear_end = first;
    if (terms & kLinearPastTerms) {
      linear_end = (Start(a, n + kTile - 1) + kTile - 1) / kTile;
    }
    if (terms & kLinearNearTerms) linear_end = n / kTile + 1;
    linear_end = min(max(linear_end, first), n / kTile + 1);
  }
  // Of rows that are OnePair: the older tile counts as linear throughout.
  static __device__ __forceinline__ TileList OfPair(int n) {
    TileList tiles;
    tiles.first = max(n / kTile - 1, 0);
    tiles.count = n > 0 ? 2 : 1;
    tiles.linear_end = n / kTile;
    return tiles;
  }
  __device__ __forceinline__ int Tile(int u) const {
    return u < sinks ? u : first + u - sinks;
  }
};

// Which three tiles of keys and values shared memory holds.
struct Stages {
  int tile0 = -1, tile1 = -1, tile2 = -1;

  __device__ __forceinline__ int Find(int tile) const {
    return tile == tile0 ? 0 : tile == tile1 ? 1 : tile == tile2 ? 2 : -1;
  }
  // Gives `tile` a stage that holds neither a nor b.
  __device__ __forceinline__ int Replace(int tile, int a, int b) {
    if (tile0 != a && tile0 != b) {
      tile0 = tile;
      return 0;
    }
    if (tile1 != a && tile1 != b) {
      tile1 = tile;
      return 1;
    }
    tile2 = tile;
    return 2;
  }
};

// Brings tiles x and y (-1: none) to shared memory, unless they are there;
// load(tile, stage) starts their copies. Of the whole block.
template <typename Load>
__device__ __forceinline__ void Ensure(Stages& stages, int x, int y,
                                       const Load& load) {
  const bool need_x = x >= 0 && stages.Find(x) < 0;
  const bool need_y = y >= 0 && stages.Find(y) < 0;
  if (!need_x && !need_y) return;
  __syncthreads();
  if (need_x) load(x, stages.Replace(x, x, y < 0 ? x : y));
  if (need_y) load(y, stages.Replace(y, x < 0 ? y : x, y));
  CopyCommit();
  CopyWait();
  FenceShared();
  __syncthreads();
}

}  // namespace caracal::kernels::cuda

#endif  // CARACAL_KERNELS_HYBRID_ATTENTION_HYBRID_ATTENTION_CUDA_TILES_H_
