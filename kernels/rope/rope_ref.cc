#include "kernels/rope/rope_ref.h"

namespace caracal::kernels {

const RopeLoops kRopeReference = {RopeRotateReference<float>};

}  // namespace caracal::kernels
