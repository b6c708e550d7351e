// Vectorised loops of cross-entropy.
#ifndef CARACAL_KERNELS_CROSS_ENTROPY_CROSS_ENTROPY_SIMD_H_
#define CARACAL_KERNELS_CROSS_ENTROPY_CROSS_ENTROPY_SIMD_H_

#include "kernels/cross_entropy/cross_entropy_loops.h"

namespace caracal::kernels {
namespace avx2 {
extern const CrossEntropyLoops kCrossEntropyLoops;
}
namespace avx512 {
extern const CrossEntropyLoops kCrossEntropyLoops;
}
}  // namespace caracal::kernels

#endif  // CARACAL_KERNELS_CROSS_ENTROPY_CROSS_ENTROPY_SIMD_H_
