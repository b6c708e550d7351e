#include "kernels/cross_entropy/cross_entropy_ref.h"

namespace caracal::kernels {

const CrossEntropyLoops kCrossEntropyReference = {
    CrossEntropyStatisticsReference<float>,
    CrossEntropyGradientReference<float>};

}  // namespace caracal::kernels
