// Scalar reference of the attention-weight loss: the specification. T is
// float, double, or std::complex<double> for complex-step derivatives of the
// loss (gradients are not computed then).
#ifndef CARACAL_KERNELS_HYBRID_ATTENTION_WEIGHT_LOSS_REF_H_
#define CARACAL_KERNELS_HYBRID_ATTENTION_WEIGHT_LOSS_REF_H_

#include "kernels/hybrid_attention/hybrid_attention_args.h"

namespace caracal::kernels {

template <typename T>
struct WeightLossSums {
  T cross_entropy = T(0), teacher_entropy = T(0);
};

// The loss of one (sequence, head).
template <typename T>
WeightLossSums<T> WeightLossReference(const HybridAttentionArgs<T>& args,
                                      int64_t sequence, int64_t head);

// And its gradients; T is float or double.
template <typename T>
WeightLossSums<T> WeightLossBackwardReference(
    const HybridAttentionArgs<T>& args,
    const HybridAttentionBackwardTask<T>& task);

}  // namespace caracal::kernels

#endif  // CARACAL_KERNELS_HYBRID_ATTENTION_WEIGHT_LOSS_REF_H_
