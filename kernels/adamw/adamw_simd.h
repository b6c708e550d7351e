// Vectorised loops of AdamW.
#ifndef CARACAL_KERNELS_ADAMW_ADAMW_SIMD_H_
#define CARACAL_KERNELS_ADAMW_ADAMW_SIMD_H_

#include "kernels/adamw/adamw_loops.h"

namespace caracal::kernels {
namespace avx2 {
extern const AdamWLoops kAdamWLoops;
}
namespace avx512 {
extern const AdamWLoops kAdamWLoops;
}
}  // namespace caracal::kernels

#endif  // CARACAL_KERNELS_ADAMW_ADAMW_SIMD_H_
