// Hybrid attention's operands as plain numbers and pointers: what the scalar
// reference and the code compiled once per instruction set work on. T is
// float, or in the reference's tests double or std::complex<double>.
#ifndef CARACAL_KERNELS_HYBRID_ATTENTION_HYBRID_ATTENTION_ARGS_H_
#define CARACAL_KERNELS_HYBRID_ATTENTION_HYBRID_ATTENTION_ARGS_H_

#include <cstdint>

#include "kernels/common/head_rows.h"
#include "kernels/hybrid_attention/hybrid_attention.h"

namespace caracal::kernels {

// [sequences, rows, heads, D].
template <typename T>
struct CacheOf {
  T* data = nullptr;
  int64_t sequence = 0, row = 0, head = 0;

  CARACAL_ALWAYS_INLINE T* at(int64_t s, int64_t r, int64_t h) const {
    return data + s * sequence + r * row + h * head;
  }
};

template <typename T>
struct HybridAttentionArgs {
  HybridAttentionConfig config;
  int64_t heads = 0, kv_heads = 0;  // H, Hkv
  int64_t D = 0, F = 0, Fout = 0;
  int64_t rows = 0, sequences = 0;
  const int64_t* offsets = nullptr;  // [sequences + 1]
  const uint8_t* terms = nullptr;    // [sequences, H]

  HeadRows<const T> q, k, v;
  int64_t maps = 0;                  // H, or 1: heads share their feature map
  const T* weight_q = nullptr;       // [maps, D, F]
  const T* weight_k = nullptr;       // [maps, D, F]
  const T* bias_q = nullptr;         // [maps, F] or null
  const T* bias_k = nullptr;         // [maps, F] or null
  const T* window_factor = nullptr;  // [H]

  // The past; past_length null: none.
  const int64_t* past_length = nullptr;  // [sequences]
  int64_t past_rows = 0;                 // P
  CacheOf<const T> past_k, past_v, sink_k, sink_v;
  // [sequences, H, Fout, D] and [sequences, H, Fout]; null: not kept.
  T* state = nullptr;
  T* state_norm = nullptr;
  int64_t state_sequence = 0, state_head = 0;
  int64_t norm_sequence = 0, norm_head = 0;

  // Outputs of the forward; the statistics are [H, rows] or null.
  HeadRows<T> y;
  T* row_max = nullptr;
  T* softmax_den = nullptr;
  T* linear_den = nullptr;

  CARACAL_ALWAYS_INLINE int64_t begin(int64_t sequence) const {
    return offsets[sequence];
  }
  CARACAL_ALWAYS_INLINE int64_t length(int64_t sequence) const {
    return offsets[sequence + 1] - offsets[sequence];
  }
  CARACAL_ALWAYS_INLINE int64_t past(int64_t sequence) const {
    return past_length == nullptr ? 0 : past_length[sequence];
  }
  CARACAL_ALWAYS_INLINE uint8_t terms_of(int64_t sequence, int64_t head) const {
    return terms[sequence * heads + head];
  }
  // The feature map of a query head.
  CARACAL_ALWAYS_INLINE int64_t map_of(int64_t head) const {
    return maps == 1 ? 0 : head;
  }
  CARACAL_ALWAYS_INLINE int64_t kv_head(int64_t head) const {
    return head / (heads / kv_heads);
  }
};

// The backward of one (sequence, head): where it takes the gradient from and
// where it leaves its part of each gradient. Null: not wanted.
template <typename T>
struct HybridAttentionBackwardTask {
  int64_t sequence = 0, head = 0;
  HeadRows<const T> dy, target;     // one of them
  T scale = T(0);                   // dy = scale * (y - target)
  double* squared_error = nullptr;  // assigned

  HeadRows<T> dq;  // as in the call
  // Rows of this sequence, [length, D]; added to if add_kv, else assigned.
  T* dk = nullptr;
  T* dv = nullptr;
  int64_t dk_row = 0, dv_row = 0;
  bool add_kv = false;
  // This task's share, assigned.
  T* dweight_q = nullptr;       // [D, F]
  T* dweight_k = nullptr;       // [D, F]
  T* dbias_q = nullptr;         // [F]
  T* dbias_k = nullptr;         // [F]
  T* dwindow_factor = nullptr;  // [1]
};

// One version of the kernel: the scalar reference or one instruction set's.
// Tasks may run on different threads, each with an arena of its own, 64-byte
// aligned.
struct HybridAttentionVersion {
  // `longest`: rows of the longest sequence.
  size_t (*forward_arena)(const HybridAttentionArgs<float>& args,
                          int64_t longest);
  size_t (*backward_arena)(const HybridAttentionArgs<float>& args,
                           int64_t longest);
  void (*forward)(const HybridAttentionArgs<float>& args, int64_t sequence,
                  int64_t head, void* arena);
  void (*backward)(const HybridAttentionArgs<float>& args,
                   const HybridAttentionBackwardTask<float>& task, void* arena);
};

}  // namespace caracal::kernels

#endif  // CARACAL_KERNELS_HYBRID_ATTENTION_HYBRID_ATTENTION_ARGS_H_
