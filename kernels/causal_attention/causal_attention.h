// Full causal softmax attention (the teacher's, and `softmax` layers kept as
// they were), in blocks: O(T) memory, never a T x T matrix.
//     y_n = sum_{j <= n} exp(s_nj - lse_n) v_j,   s_nj = q_n . k_j / sqrt(D)
#ifndef CARACAL_KERNELS_CAUSAL_ATTENTION_CAUSAL_ATTENTION_H_
#define CARACAL_KERNELS_CAUSAL_ATTENTION_CAUSAL_ATTENTION_H_

#include <cstddef>
#include <cstdint>

#include "kernels/common/context.h"
#include "kernels/common/tensor_view.h"

namespace caracal::kernels {

// q [rows, H, D], k, v [key_rows, Hkv, D]; fp32 on the CPU; unit stride in
// the last dimension. Sequence i owns query rows [offsets[i], offsets[i + 1])
// and key rows [key_offsets[i], key_offsets[i + 1]): its queries are the last
// ones of its keys, so a cache of earlier keys makes key_offsets the longer.
// key_offsets may be null: the same as offsets.
struct CausalAttentionInputs {
  ConstTensorView q, k, v;
  const int64_t* offsets = nullptr;      // [sequences + 1], host memory
  const int64_t* key_offsets = nullptr;  // [sequences + 1], host memory
  int64_t sequences = 0;
};

size_t CausalAttentionWorkspaceBytes(const Context& ctx,
                                     const CausalAttentionInputs& in);

// y [rows, H, D]; lse [H, rows] = log sum_j exp(s_nj), or undefined.
void CausalAttentionForward(const Context& ctx, const CausalAttentionInputs& in,
                            TensorView y, TensorView lse, Workspace workspace);

size_t CausalAttentionBackwardWorkspaceBytes(const Context& ctx,
                                             const CausalAttentionInputs& in);

// dq [rows, H, D], dk, dv [rows, Hkv, D] are overwritten. y and lse are the
// forward's. key_offsets must be null.
void CausalAttentionBackward(const Context& ctx,
                             const CausalAttentionInputs& in, ConstTensorView y,
                             ConstTensorView lse, ConstTensorView dy,
                             TensorView dq, TensorView dk, TensorView dv,
                             Workspace workspace);

}  // namespace caracal::kernels

#endif  // CARACAL_KERNELS_CAUSAL_ATTENTION_CAUSAL_ATTENTION_H_
