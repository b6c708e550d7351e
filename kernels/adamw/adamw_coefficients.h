// One step's constants of AdamW, the same for every device.
#ifndef CARACAL_KERNELS_ADAMW_ADAMW_COEFFICIENTS_H_
#define CARACAL_KERNELS_ADAMW_ADAMW_COEFFICIENTS_H_

#include "kernels/adamw/adamw.h"
#include "kernels/adamw/adamw_loops.h"

namespace caracal::kernels {

// Computed in fp64; aborts unless config.step >= 1.
AdamWCoefficients AdamWCoefficientsOf(const AdamWConfig& config);

}  // namespace caracal::kernels

#endif  // CARACAL_KERNELS_ADAMW_ADAMW_COEFFICIENTS_H_
