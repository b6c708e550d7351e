#include "kernels/rms_norm/rms_norm_ref.h"

namespace caracal::kernels {

const RmsNormLoops kRmsNormReference = {
    RmsNormForwardRowReference<float>,
    RmsNormBackwardRowReference<float>,
    RmsNormBackwardWeightReference<float>,
};

}  // namespace caracal::kernels
