// Cross-entropy of the student's attention weights under the teacher's: the
// transfer losses `xent` and `kl`.
//
// Per query head and row n, with C the keys for which `terms` keeps a term,
//     a_j = exp(s_nj) / sum_{i in C} exp(s_ni)         the teacher's weights
//     u_j = gamma exp(s_nj - c_n) and/or alpha phi_q.phi_k   the student's
//     terms p_j = max(u_j / sum_{i in C} u_i, 1e-12) xent_n = - sum_{j in C}
//     a_j log p_j kl_n   = xent_n + sum_{j in C} a_j log a_j
// A row without any term contributes nothing. In la_only and hybrid C is all
// of j <= n, so a is the teacher's softmax itself; in la_past the teacher is
// restricted to the keys that linear attention serves there, and renormalised.
// The two losses differ by the teacher's entropy, which has no gradient.
// Source: Hedgehog (arXiv 2402.04347) section 4.2, docs/method.md.
//
// Time O(T^2 (D + Fout)) a head; memory O(T (kBlock + Fout)) a thread: scores
// exist for one block of queries at a time.
#ifndef CARACAL_KERNELS_HYBRID_ATTENTION_WEIGHT_LOSS_H_
#define CARACAL_KERNELS_HYBRID_ATTENTION_WEIGHT_LOSS_H_

#include "kernels/hybrid_attention/hybrid_attention.h"

namespace caracal::kernels {

// Student weights below this count as this, and get no gradient.
inline constexpr float kAttentionWeightFloor = 1e-12f;

// Sums over rows and heads, nats.
struct AttentionWeightLoss {
  double cross_entropy = 0;
  double teacher_entropy = 0;
};

size_t AttentionWeightLossWorkspaceBytes(const Context& ctx,
                                         const HybridAttentionConfig& config,
                                         const HybridAttentionInputs& in,
                                         const HybridAttentionGradients& grads);

// Adds the sums of the call to *loss, and to the parameters' gradients those of
// scale * sum of xent_n. in.v is bound but not read; dq, dk, dv
// must be undefined: scores are frozen in attention transfer. Sequences start
// at position 0. Results do not depend on the number of threads.
void AttentionWeightLossBackward(const Context& ctx,
                                 const HybridAttentionConfig& config,
                                 const HybridAttentionInputs& in, float scale,
                                 const HybridAttentionGradients& grads,
                                 AttentionWeightLoss* loss,
                                 Workspace workspace);

}  // namespace caracal::kernels

#endif  // CARACAL_KERNELS_HYBRID_ATTENTION_WEIGHT_LOSS_H_
