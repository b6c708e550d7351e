// Vectorised loops of SwiGLU.
#ifndef CARACAL_KERNELS_SWIGLU_SWIGLU_SIMD_H_
#define CARACAL_KERNELS_SWIGLU_SWIGLU_SIMD_H_

#include "kernels/swiglu/swiglu_loops.h"

namespace caracal::kernels {
namespace avx2 {
extern const SwigluLoops kSwigluLoops;
}
namespace avx512 {
extern const SwigluLoops kSwigluLoops;
}
}  // namespace caracal::kernels

#endif  // CARACAL_KERNELS_SWIGLU_SWIGLU_SIMD_H_
