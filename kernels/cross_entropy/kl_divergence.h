// KL divergence between two softmax distributions over a vocabulary, or a
// shard of it: the distillation loss. With p the teacher's probabilities
// exp(t - lse_t) and q the student's exp(s - lse_s), per row
//     forward   KL(p || q) = sum_j p_j (log p_j - log q_j)
//     reverse   KL(q || p) = sum_j q_j (log q_j - log p_j)
// and with respect to the student's logits
//     d KL(p || q) / d s_j = q_j - p_j
//     d KL(q || p) / d s_j = q_j (log q_j - log p_j - KL(q || p))
// The caller sums shards' parts of the divergence before the gradient.
#ifndef CARACAL_KERNELS_CROSS_ENTROPY_KL_DIVERGENCE_H_
#define CARACAL_KERNELS_CROSS_ENTROPY_KL_DIVERGENCE_H_

#include <cstdint>

#include "kernels/common/context.h"
#include "kernels/common/tensor_view.h"

namespace caracal::kernels {

enum class KlDirection : uint8_t {
  kForward,  // KL(teacher || student)
  kReverse,  // KL(student || teacher)
};

// logits, teacher [rows, V] fp32, rows may be strided, all finite; lse,
// teacher_lse [rows], over the whole vocabulary. kl [rows] out: this shard's
// part.
void KlDivergence(const Context& ctx, KlDirection direction,
                  ConstTensorView logits, ConstTensorView teacher,
                  ConstTensorView lse, ConstTensorView teacher_lse,
                  TensorView kl);

// teacher[r, j] <- weight[r] d KL / d logits[r, j], in place. kl [rows] is the
// divergence over the whole vocabulary. A row of weight 0 becomes 0.
void KlGradient(const Context& ctx, KlDirection direction,
                ConstTensorView logits, TensorView teacher, ConstTensorView lse,
                ConstTensorView teacher_lse, ConstTensorView kl,
                ConstTensorView weight);

}  // namespace caracal::kernels

#endif  // CARACAL_KERNELS_CROSS_ENTROPY_KL_DIVERGENCE_H_
