// Scalar reference of hybrid attention: the specification. Plain quadratic
// loops over rows and keys, one (sequence, head) at a time. T is float, double
// or std::complex<double> (complex-step derivatives of the forward).
// Allocates its scratch memory; only machines without AVX2 run it in earnest.
#ifndef CARACAL_KERNELS_HYBRID_ATTENTION_HYBRID_ATTENTION_REF_H_
#define CARACAL_KERNELS_HYBRID_ATTENTION_HYBRID_ATTENTION_REF_H_

#include <cstdint>

#include "kernels/hybrid_attention/hybrid_attention_args.h"

namespace caracal::kernels {

template <typename T>
void HybridAttentionForwardReference(const HybridAttentionArgs<T>& args,
                                     int64_t sequence, int64_t head);

// T is float or double.
template <typename T>
void HybridAttentionBackwardReference(
    const HybridAttentionArgs<T>& args,
    const HybridAttentionBackwardTask<T>& task);

extern const HybridAttentionVersion kHybridAttentionReference;

}  // namespace caracal::kernels

#endif  // CARACAL_KERNELS_HYBRID_ATTENTION_HYBRID_ATTENTION_REF_H_
