// Causal attention's operands as the CUDA kernels see them, and the versions'
// launchers.
#ifndef CARACAL_KERNELS_CAUSAL_ATTENTION_CAUSAL_ATTENTION_CUDA_ARGS_H_
#define CARACAL_KERNELS_CAUSAL_ATTENTION_CAUSAL_ATTENTION_CUDA_ARGS_H_

#include <cuda_runtime_api.h>

#include "kernels/common/cuda_head_rows.h"

namespace caracal::kernels::cuda {

// Query rows of a work item, all of one sequence and head.
inline constexpr int kCausalRows = 128;

// A sequence's work items: for each group of heads, whose keys and values fit
// the L2 cache together, its blocks of rows, the last (which looks at most
// keys) first, and in each block the group's heads.
struct CausalSequence {
  int first_item;
  int query, queries;  // first row of queries, how many
  int keys, past;      // first row of keys, keys before the first query's own
  int group;           // heads in a group; the last may have fewer
};

// A block's work.
struct CausalItem {
  int query;     // the first row
  int count;     // of rows, at most kCausalRows
  int keys;      // the sequence's first row of keys
  int position;  // of the first query among the keys
  int head;
};

struct CausalArgs {
  int H = 0, Hkv = 0, D = 0;
  int sequences = 0, items = 0;
  int64_t rows = 0, key_rows = 0;
  const CausalSequence* table = nullptr;  // [sequences], device
  int* taken = nullptr;  // items taken beyond a grid's first; device
  HeadRows<const bf16> q, k, v;
  HeadRows<bf16> y;
  float* lse = nullptr;  // [H, rows] or null
};

#ifdef __CUDACC__

__device__ __forceinline__ CausalItem ItemOf(const CausalArgs& a, int item) {
  int low = 0, high = a.sequences - 1;  // the last that starts by then
  while (low < high) {
    const int middle = (low + high + 1) / 2;
    if (a.table[middle].first_item <= item) {
      low = middle;
    } else {
      high = middle - 1;
    }
  }
  const CausalSequence s = a.table[low];
  const int blocks = (s.queries + kCausalRows - 1) / kCausalRows;
  const int at = item - s.first_item, group = at / (blocks * s.group);
  const int first_head = group * s.group,
            heads = min(s.group, a.H - first_head);
  const int in_group = at - group * blocks * s.group;
  const int row = (blocks - 1 - in_group / heads) * kCausalRows;
  return {s.query + row, min(kCausalRows, s.queries - row), s.keys,
          s.past + row, first_head + in_group % heads};
}

#endif  // __CUDACC__

void CausalForwardPlain(const CausalArgs& a, cudaStream_t stream);
// D <= 128.
void CausalForwardHopper(const CausalArgs& a, cudaStream_t stream);

}  // namespace caracal::kernels::cuda

#endif  // CARACAL_KERNELS_CAUSAL_ATTENTION_CAUSAL_ATTENTION_CUDA_ARGS_H_
