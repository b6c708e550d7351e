// Vectorised causal attention, in tiles of keys by queries.
#ifndef CARACAL_KERNELS_CAUSAL_ATTENTION_CAUSAL_ATTENTION_SIMD_H_
#define CARACAL_KERNELS_CAUSAL_ATTENTION_CAUSAL_ATTENTION_SIMD_H_

#include "kernels/causal_attention/causal_attention_args.h"

namespace caracal::kernels {
namespace avx2 {
extern const CausalAttentionVersion kCausalAttentionVersion;
}
namespace avx512 {
extern const CausalAttentionVersion kCausalAttentionVersion;
}
}  // namespace caracal::kernels

#endif  // CARACAL_KERNELS_CAUSAL_ATTENTION_CAUSAL_ATTENTION_SIMD_H_
