#include "kernels/swiglu/swiglu_ref.h"

namespace caracal::kernels {

const SwigluLoops kSwigluReference = {SwigluForwardReference<float>,
                                      SwigluBackwardReference<float>};

}  // namespace caracal::kernels
