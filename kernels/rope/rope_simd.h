// Vectorised loops of RoPE.
#ifndef CARACAL_KERNELS_ROPE_ROPE_SIMD_H_
#define CARACAL_KERNELS_ROPE_ROPE_SIMD_H_

#include "kernels/rope/rope_loops.h"

namespace caracal::kernels {
namespace avx2 {
extern const RopeLoops kRopeLoops;
}
namespace avx512 {
extern const RopeLoops kRopeLoops;
}
}  // namespace caracal::kernels

#endif  // CARACAL_KERNELS_ROPE_ROPE_SIMD_H_
