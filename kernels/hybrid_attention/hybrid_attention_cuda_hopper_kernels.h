// The launchers of the Hopper version's kernels, one a source, and what passes
// between them. DP is the padded head dimension, 64 or 128.
#ifndef CARACAL_KERNELS_HYBRID_ATTENTION_HYBRID_ATTENTION_CUDA_HOPPER_KERNELS_H_
#define CARACAL_KERNELS_HYBRID_ATTENTION_HYBRID_ATTENTION_CUDA_HOPPER_KERNELS_H_

#include <cuda.h>
#include <cuda_runtime_api.h>

#include "kernels/hybrid_attention/hybrid_attention_cuda_args.h"

namespace caracal::kernels::cuda {

// Rows [first, last) (positions; first is a multiple of kTile) of a sequence.
struct Segment {
  int begin;   // the sequence's first row
  int length;  // of the sequence
  int first, last;
  int sequence;
  int number, count;  // which of its sequence's segments, and how many
};

// Most sinks that the kernels for OnePair hold as a tile of their own.
inline constexpr int kPairSinks = 16;

// Whether every row looks one by one only at keys of its own and the previous
// tile, and at a few far sinks; every key left of those has the linear terms of
// the past; and F is 64. These rows have kernels of their own.
#ifdef __CUDACC__
__host__ __device__
#endif
    inline bool
    OnePair(const Args& a, int terms) {
  if (a.sinks > kPairSinks || (a.F != 0 && a.F != 64)) return false;
  if ((terms & kLinearNearTerms) && !(terms & kLinearPastTerms)) return false;
  if (a.terraced) return a.window == kTile || a.window <= kTile / 2;
  return a.window >= 2 && a.window <= kTile + 1;
}

// Whether the terms are linear ones alone, of all keys. Which keys the window
// has is of no account then.
inline constexpr bool LinearAlone(int terms) { return terms == kLaOnlyTerms; }

// Whether a backward's dy comes from a target and no gradient of rows is asked
// for.
inline bool TransferOnly(const Args& a) {
  return a.target.data != nullptr && a.dq.data == nullptr &&
         a.dk.data == nullptr && a.dv.data == nullptr;
}

// How the copy engine reads the operands, for the kernels of OnePair.
struct PairMaps {
  CUtensorMap q, k, v, dy;  // dy: of a backward
};

// The sums at the borders of segments, fp32: of each segment, in so many
// pieces, the keys that leave the windows while its rows pass (suffix: the rows
// whose windows begin in it). Who begins at a border adds up those of all
// segments before it (suffix: after it). Once scanned, a segment's place holds
// that sum.
struct BorderSums {
  float* state = nullptr;  // [count, pieces, H, 128 DP], as accumulators lie
  float* norm = nullptr;   // [count, pieces, H, 128]
};

// Scratch memory.
struct HopperScratch {
  char* tables = nullptr;             // segments, offsets, terms
  const Segment* segments = nullptr;  // [count], device
  int count = 0;
  bool split = false;  // some sequence has several segments
  // Some (sequence, head) may be OnePair; may be not.
  bool pairs = false, others = false;
  bool key_pairs = false, key_others = false;  // the same of OneKeyPair
  // Some OneKeyPair may be LinearAlone (then all that are LinearAlone are); may
  // be not.
  bool alone = false, beside = false;
  bool rows_done = false;    // the forward did the latter's rows
  bf16* weight_q = nullptr;  // [H, DP, 64], as tiles lie in shared memory
  bf16* weight_k = nullptr;
  // Over the keys left of the windows of a segment's first row; null if nothing
  // is split.
  BorderSums states;
  int pieces = 1;
  bool scanned = false;  // else few enough for everyone to add them up

  // The backward's.
  BorderSums suffixes;     // over the rows whose windows lie right of a segment
  HeadRows<bf16> dy;       // [rows, H, D], made from a target
  float* error = nullptr;  // [count, H] squared errors
  // Statistics of the rows, [H, rows]: c_n log2(e), 1 / den, dy . y, the
  // gradient of c_n and the position of the key that attains it.
  float* row_max = nullptr;
  float* inv_den = nullptr;
  float* delta = nullptr;
  float* dmax = nullptr;
  int* argmax = nullptr;
  // Parts of gradients, a segment each.
  float* dweight_q = nullptr;  // [count, H, DP, 64]
  float* dweight_k = nullptr;
  float* dfactor = nullptr;  // [count, H]
  // Of the heads that are OneKeyPair: gradients of the queries' and the keys'
  // z, and what far sinks' keys and values get, from either half of the rows.
  bf16* dz_q = nullptr;    // [rows, H, 64]
  bf16* dz_k = nullptr;    // [rows, H, 64]
  float* sinks = nullptr;  // [count, H, 2, 2, kPairSinks, DP]
  // Parts of dk and dv, a query head each; null unless heads share keys.
  bf16* dk = nullptr;  // [rows, H, D]
  bf16* dv = nullptr;
};

// OnePair for the backward, where moreover the linear terms inside a pair of
// tiles all belong to one of them: the older one, or, of heads that are
// LinearAlone, the rows' own. The latter take the other kernels if any head
// that the call may have does: either kind, with a part of the heads, would
// fill only a part of the chip.
#ifdef __CUDACC__
__host__ __device__
#endif
    inline bool
    OneKeyPair(const Args& a, const HopperScratch& s, int terms) {
  if (LinearAlone(terms)) return s.alone;
  if (!OnePair(a, terms) || (terms & kLinearNearTerms)) return false;
  if (a.terraced) return a.window == kTile || a.window == kTile / 2;
  return a.window == kTile || a.window == kTile + 1;
}

// Fills weight_q and weight_k.
void HopperWeights(const Args& a, const HopperScratch& s, cudaStream_t stream);

// Fills s.states.
void HopperStates(const Args& a, const HopperScratch& s, const PairMaps& maps,
                  cudaStream_t stream);

// y and statistics; with a target, s.dy and s.error instead of y. For the
// heads that are OnePair, and for the others. In a backward (s.delta set), also
// with a dy, the former fill s.inv_den and s.delta; if it is TransferOnly,
// those that are OneKeyPair and not LinearAlone do what HopperBackwardRowPairs
// does as well.
void HopperForwardPairs(const Args& a, const HopperScratch& s,
                        const PairMaps& maps, cudaStream_t stream);
void HopperForwardOthers(const Args& a, const HopperScratch& s,
                         cudaStream_t stream);

// s.inv_den and s.delta of all rows, from a.dy and what the forward left.
void HopperStatistics(const Args& a, const HopperScratch& s,
                      cudaStream_t stream);

// Statistics, dq, dfactor. Reads a.dy. For the heads that are OneKeyPair: reads
// s.inv_den and s.delta and leaves s.dz_q, of which HopperMapGradients makes
// parts of dweight_q (of s.dz_k: of dweight_k). For the others: those parts
// too.
void HopperBackwardRowPairs(const Args& a, const HopperScratch& s,
                            const PairMaps& maps, cudaStream_t stream);
void HopperMapGradients(const Args& a, const HopperScratch& s, bool keys,
                        cudaStream_t stream);
void HopperBackwardRowOthers(const Args& a, const HopperScratch& s,
                             cudaStream_t stream);

// Fills s.suffixes; reads s.inv_den and s.delta.
void HopperSuffixes(const Args& a, const HopperScratch& s, const PairMaps& maps,
                    cudaStream_t stream);

// dk, dv (or their parts); s.dz_k for the heads that are OneKeyPair, parts of
// dweight_k for the others.
void HopperBackwardKeyPairs(const Args& a, const HopperScratch& s,
                            const PairMaps& maps, cudaStream_t stream);
void HopperBackwardKeyOthers(const Args& a, const HopperScratch& s,
                             cudaStream_t stream);

// s.sinks, of the heads that are OneKeyPair; and, once dk and dv are there,
// their sum.
void HopperSinkParts(const Args& a, const HopperScratch& s,
                     cudaStream_t stream);
void HopperAddSinks(const Args& a, const HopperScratch& s, cudaStream_t stream);

// Adds up the parts.
void HopperReduce(const Args& a, const HopperScratch& s, cudaStream_t stream);

}  // namespace caracal::kernels::cuda

#endif  // CARACAL_KERNELS_HYBRID_ATTENTION_HYBRID_ATTENTION_CUDA_HOPPER_KERNELS_H_
