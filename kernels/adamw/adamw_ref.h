// Scalar reference of AdamW and its companions.
#ifndef CARACAL_KERNELS_ADAMW_ADAMW_REF_H_
#define CARACAL_KERNELS_ADAMW_ADAMW_REF_H_

#include "kernels/adamw/adamw_loops.h"

namespace caracal::kernels {

extern const AdamWLoops kAdamWReference;

}  // namespace caracal::kernels

#endif  // CARACAL_KERNELS_ADAMW_ADAMW_REF_H_
