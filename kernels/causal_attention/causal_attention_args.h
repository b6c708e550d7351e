// Causal attention's operands as plain numbers and pointers: what the scalar
// reference and the code compiled once per instruction set work on.
#ifndef CARACAL_KERNELS_CAUSAL_ATTENTION_CAUSAL_ATTENTION_ARGS_H_
#define CARACAL_KERNELS_CAUSAL_ATTENTION_CAUSAL_ATTENTION_ARGS_H_

#include <cstddef>
#include <cstdint>

#include "kernels/common/head_rows.h"

namespace caracal::kernels {

// T is float, or in the reference's tests double or std::complex<double>.
template <typename T>
struct CausalAttentionArgs {
  int64_t heads = 0, kv_heads = 0, D = 0, rows = 0, sequences = 0;
  const int64_t* offsets = nullptr;      // [sequences + 1]
  const int64_t* key_offsets = nullptr;  // [sequences + 1], never null
  HeadRows<const T> q, k, v;
  HeadRows<T> y;     // output of the forward
  T* lse = nullptr;  // [H, rows] or null

  CARACAL_ALWAYS_INLINE int64_t queries(int64_t sequence) const {
    return offsets[sequence + 1] - offsets[sequence];
  }
  CARACAL_ALWAYS_INLINE int64_t keys(int64_t sequence) const {
    return key_offsets[sequence + 1] - key_offsets[sequence];
  }
  CARACAL_ALWAYS_INLINE int64_t kv_head(int64_t head) const {
    return head / (heads / kv_heads);
  }
};

// The backward of one (sequence, head).
template <typename T>
struct CausalAttentionBackwardTask {
  int64_t sequence = 0, head = 0;
  HeadRows<const T> y, dy;
  const T* lse = nullptr;  // [H, rows]
  HeadRows<T> dq;
  // Rows of this sequence, [length, D]; added to if add_kv, else assigned.
  T* dk = nullptr;
  T* dv = nullptr;
  int64_t dk_row = 0, dv_row = 0;
  bool add_kv = false;
};

// One version of the kernel: the scalar reference or one instruction set's.
// Tasks may run on different threads, each with an arena of its own, 64-byte
// aligned.
struct CausalAttentionVersion {
  size_t (*forward_arena)(const CausalAttentionArgs<float>& args);
  // `longest`: rows of the longest sequence.
  size_t (*backward_arena)(const CausalAttentionArgs<float>& args,
                           int64_t longest);
  void (*forward)(const CausalAttentionArgs<float>& args, int64_t sequence,
                  int64_t head, void* arena);
  void (*backward)(const CausalAttentionArgs<float>& args,
                   const CausalAttentionBackwardTask<float>& task, void* arena);
};

}  // namespace caracal::kernels

#endif  // CARACAL_KERNELS_CAUSAL_ATTENTION_CAUSAL_ATTENTION_ARGS_H_
