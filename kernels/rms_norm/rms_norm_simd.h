// Vectorised loops of RMSNorm.
#ifndef CARACAL_KERNELS_RMS_NORM_RMS_NORM_SIMD_H_
#define CARACAL_KERNELS_RMS_NORM_RMS_NORM_SIMD_H_

#include "kernels/rms_norm/rms_norm_loops.h"

namespace caracal::kernels {
namespace avx2 {
extern const RmsNormLoops kRmsNormLoops;
}
namespace avx512 {
extern const RmsNormLoops kRmsNormLoops;
}
}  // namespace caracal::kernels

#endif  // CARACAL_KERNELS_RMS_NORM_RMS_NORM_SIMD_H_
