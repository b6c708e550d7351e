// Vectorised hybrid attention: blocks of kBlock queries with carried state.
#ifndef CARACAL_KERNELS_HYBRID_ATTENTION_HYBRID_ATTENTION_SIMD_H_
#define CARACAL_KERNELS_HYBRID_ATTENTION_HYBRID_ATTENTION_SIMD_H_

#include "kernels/hybrid_attention/hybrid_attention_args.h"

namespace caracal::kernels {
namespace avx2 {
extern const HybridAttentionVersion kHybridAttentionVersion;
}
namespace avx512 {
extern const HybridAttentionVersion kHybridAttentionVersion;
}
}  // namespace caracal::kernels

#endif  // CARACAL_KERNELS_HYBRID_ATTENTION_HYBRID_ATTENTION_SIMD_H_
