// What the kernels for rows that are OnePair share: warpgroups with a job each,
// which hand tiles to one another through barriers in shared memory; tiles come
// by the copy engine. Included only by sources compiled for sm_90a.
//
// Tiles of a segment are counted from the one before its first: number i + 1 is
// the own tile of the segment's i-th 64 rows, number i their previous one.
// Before a sequence's first tile lies whatever the copy engine finds there; it
// only meets weights and features that are zero.
#ifndef CARACAL_KERNELS_HYBRID_ATTENTION_HYBRID_ATTENTION_CUDA_PAIR_H_
#define CARACAL_KERNELS_HYBRID_ATTENTION_HYBRID_ATTENTION_CUDA_PAIR_H_

#include "kernels/common/cuda_pipeline.h"
#include "kernels/hybrid_attention/hybrid_attention_cuda_features.h"
#include "kernels/hybrid_attention/hybrid_attention_cuda_tiles.h"

namespace caracal::kernels::cuda {

inline constexpr int kPairGroups = 3, kPairBlock = kPairGroups * kGroup;
inline constexpr int kWarps = kGroup / 32;  // of a warpgroup
inline constexpr int kStages = 3;           // of keys and of values

// Tiles of the far sinks' keys or values: 16 rows.
inline constexpr int kSinkPanel = kPairSinks * 128;
template <int DP>
inline constexpr int kSinkBytes = DP / 64 * kSinkPanel;

// The sums of features [128] as the operand [8, 128] of a product: the first
// two rows add up to them, the third is the first again.
inline constexpr int kNormPanel = 8 * 128, kNormBytes = 2 * kNormPanel;

// Numbers and pointers that all warpgroups of a block need.
struct PairBlock {
  int head, kv, slot, terms;
  Segment segment;
  int count;       // tiles of rows
  int first_tile;  // the segment's
  bool linear;
  // LinearAlone: the tile of a pair with linear terms that the backward forms
  // one by one is the rows' own, not their previous one.
  bool own;

  // `any_own`: whether there are heads that are LinearAlone.
  __device__ __forceinline__ PairBlock(const Args& a,
                                       const HopperScratch& scratch,
                                       bool any_own = true) {
    head = blockIdx.x % a.H;
    slot = blockIdx.x / a.H;
    segment = scratch.segments[slot];
    kv = KvHead(a, head);
    terms = a.terms[segment.sequence * a.H + head];
    linear = AnyLinear(terms);
    own = any_own && LinearAlone(terms);
    first_tile = segment.first / kTile;
    count = (segment.last - segment.first + kTile - 1) / kTile;
  }
  // The first row of 64, and how many there are.
  __device__ __forceinline__ int Row(int i) const {
    return segment.first + i * kTile;
  }
  __device__ __forceinline__ int Rows(int i) const {
    return min(segment.length - Row(i), kTile);
  }
};

// Announces a tile of DP columns and fetches it; one thread. `number`: the
// tile's, counted as above.
template <int DP>
__device__ __forceinline__ void FetchTile(const CUtensorMap& map,
                                          const PairBlock& b, int head,
                                          int number, char* tile,
                                          Barrier& full) {
  full.ArriveExpecting(DP / 64 * kBoxBytes);
  const int row = b.segment.begin + b.Row(number - 1);
#pragma unroll
  for (int panel = 0; panel < DP / 64; ++panel) {
    LoadBox(map, SharedAddress(tile) + panel * kPanel, panel * 64, head, row,
            full);
  }
}

// The first `sinks` rows of a sequence as a tile of kPairSinks rows, zeros
// after them; asynchronous, by `threads` threads.
template <int DP>
__device__ __forceinline__ void LoadSinks(uint32_t tile,
                                          const HeadRows<const bf16>& x,
                                          int64_t begin, int sinks, int head,
                                          int D, int threads) {
  constexpr int kPieces = DP / 8;
  for (int i = threadIdx.x; i < kPairSinks * kPieces; i += threads) {
    const int row = i / kPieces, c = i % kPieces * 8;
    const bool valid = row < sinks && c < D;
    CopyAsync(tile + TileOffset(kSinkPanel, row, c),
              valid ? At(x, begin + row, head) + c : x.data, valid);
  }
}

// Zeroes shared memory; `bytes` is a multiple of 16.
__device__ __forceinline__ void Clear(char* memory, int bytes, int threads) {
  for (int i = threadIdx.x; i < bytes / 16; i += threads) {
    reinterpret_cast<uint4*>(memory)[i] = make_uint4(0, 0, 0, 0);
  }
}

// The first three rows of a norm's operand, from sums of features 64 half +
// ...: their high and low parts, and their high parts once more.
__device__ __forceinline__ void StoreNormParts(char* tile, int half,
                                               const float (&norm)[4]) {
  const int part = threadIdx.x % 4;
  if (part > 2) return;
#pragma unroll
  for (int r = 0; r < 2; ++r) {
    const float x = norm[2 * r];
    const bf16 high = __float2bfloat16(x);
    const bf16 value =
        part == 1 ? __float2bfloat16(x - __bfloat162float(high)) : high;
    const int f = 64 * half + ThreadRow() + 8 * r;
    *reinterpret_cast<bf16*>(tile + TileOffset(kNormPanel, part, f)) = value;
  }
}

// One warpgroup's whole job: the running sums over the keys left of the rows'
// pairs; with kAhead 1 instead of 0, left of the rows' own tiles. Hands out a
// state for each 64 rows, and takes a tile's features and values for the next.
template <int DP, int kAhead, typename Shared>
__device__ __forceinline__ void KeepState(Shared& shared,
                                          const HopperScratch& scratch,
                                          const Args& a, const PairBlock& b) {
  float low[DP / 2] = {}, high[DP / 2] = {};  // features 0 to 63, 64 to 127
  float norm_low[4] = {}, norm_high[4] = {};
  const Border border(scratch, b.segment, b.slot, /*suffix=*/false);
  AddBorder<DP>(scratch.states, border, a.H, b.head, 0, low, norm_low);
  AddBorder<DP>(scratch.states, border, a.H, b.head, 1, high, norm_high);
  const uint32_t tile = SharedAddress(shared.state);
  const Ones ones{SharedAddress(shared.ones)};
#pragma unroll 1
  for (int i = -kAhead;; ++i) {
    if (kAhead == 0 || i >= 0) {
      if (i > 0) shared.state_empty.Wait(i - 1);
      StoreState<DP>(tile, 0, low);
      StoreState<DP>(tile, 1, high);
      shared.StoreNorms(norm_low, norm_high);
      FenceShared();
      shared.state_full[i % shared.kTurns].Arrive();
    }
    if (i + 1 == b.count) break;
    const int number = i + kAhead, at = number % shared.kPhis;
    const int stage = number % kStages;
    shared.phi_full[at].Wait(number / shared.kPhis);
    shared.v_full[stage].Wait(number / kStages);
    const uint32_t phi = SharedAddress(shared.phi_k[at]);
    const MnMajor values{SharedAddress(shared.v[stage]), kPanel};
    Pin(low);
    Pin(high);
    Pin(norm_low);
    Pin(norm_high);
    WgmmaFence();
    Multiply<kTile>(low, MnMajor{phi, kPanel}, values, true);
    Multiply<kTile>(high, MnMajor{phi + kPanel, kPanel}, values, true);
    Multiply<kTile>(norm_low, MnMajor{phi, kPanel}, ones, true);
    Multiply<kTile>(norm_high, MnMajor{phi + kPanel, kPanel}, ones, true);
    WgmmaCommit();
    WgmmaWait();
    Pin(low);
    Pin(high);
    Pin(norm_low);
    Pin(norm_high);
    ArriveWarp(shared.phi_empty[at]);
    ArriveWarp(shared.v_empty[stage]);
  }
}

// 1, or 0 where a row of a tile of keys has no linear term in later rows (row:
// of the tile, may lie before the sequence).
__device__ __forceinline__ float KeyFactor(const Args& a, int terms, int row) {
  if (row < 0) return 0;
  return row < a.sinks && !(terms & kLinearNearTerms) ? 0.0f : 1.0f;
}

// The masks of 64 rows' own and previous tiles. They repeat from tile to tile,
// once sinks and the beginning are behind, unless a terraced window's blocks
// shift against the tiles.
struct PairBits {
  TermBits own, previous;
  bool made = false;

  __device__ __forceinline__ void Make(const Args& a, int terms, int tile) {
    const bool repeats = !a.terraced || kTile % a.window == 0;
    if (made && repeats && tile > 3) return;
    made = true;
    own = TermBits::OfRows(a, terms, tile * kTile, tile * kTile);
    previous = TermBits();
    if (tile > 0) {
      previous = TermBits::OfRows(a, terms, tile * kTile, (tile - 1) * kTile);
    }
  }
};

// Whether rows have linear terms in their own tile.
__device__ __forceinline__ bool OwnLinear(const Args& a, int terms) {
  return (terms & kLinearNearTerms) ||
         ((terms & kLinearPastTerms) && a.window < kTile);
}

// s becomes -inf where `in` has no key; returns the most of a row.
template <int n, typename In>
__device__ __forceinline__ void MaskScores(float (&s)[n], const In& in,
                                           float (&most)[2]) {
#pragma unroll
  for (int i = 0; i < n; ++i) s[i] = in(i) ? s[i] : -INFINITY;
#pragma unroll
  for (int r = 0; r < 2; ++r) {
    most[r] =
        fmaxf(most[r], MaxOf<n / 2>([&](int i) { return s[OfRow(r, i)]; }));
  }
}

// s becomes exp(s - shift), zero where `in` says so; adds to the rows' sums.
template <int n, typename In>
__device__ __forceinline__ void Exponentials(float (&s)[n], float scale,
                                             const float (&shift)[2], bool all,
                                             const In& in, float (&sum)[2]) {
#pragma unroll
  for (int i = 0; i < n; ++i) {
    s[i] = Exp2(fmaf(s[i], scale, -shift[i % 4 / 2]));
  }
  if (!all) {
#pragma unroll
    for (int i = 0; i < n; ++i) s[i] = in(i) ? s[i] : 0.0f;
  }
#pragma unroll
  for (int r = 0; r < 2; ++r) {
    sum[r] += SumOf<n / 2>([&](int i) { return s[OfRow(r, i)]; });
  }
  Pin(sum);  // now, not when it is used: the terms need not be kept
}

}  // namespace caracal::kernels::cuda

#endif  // CARACAL_KERNELS_HYBRID_ATTENTION_HYBRID_ATTENTION_CUDA_PAIR_H_
