// Scalar reference of causal attention: the specification. Plain quadratic
// loops, one (sequence, head) at a time. Allocates its scratch memory; only
// machines without AVX2 run it in earnest.
#ifndef CARACAL_KERNELS_CAUSAL_ATTENTION_CAUSAL_ATTENTION_REF_H_
#define CARACAL_KERNELS_CAUSAL_ATTENTION_CAUSAL_ATTENTION_REF_H_

#include "kernels/causal_attention/causal_attention_args.h"

namespace caracal::kernels {

// T is float, double or std::complex<double>.
template <typename T>
void CausalAttentionForwardReference(const CausalAttentionArgs<T>& args,
                                     int64_t sequence, int64_t head);

// T is float or double.
template <typename T>
void CausalAttentionBackwardReference(
    const CausalAttentionArgs<T>& args,
    const CausalAttentionBackwardTask<T>& task);

extern const CausalAttentionVersion kCausalAttentionReference;

}  // namespace caracal::kernels

#endif  // CARACAL_KERNELS_CAUSAL_ATTENTION_CAUSAL_ATTENTION_REF_H_
