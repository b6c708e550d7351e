#include "kernels/cross_entropy/kl_divergence_ref.h"

namespace caracal::kernels {

const KlLoops kKlReference = {KlDivergenceReference<float>,
                              KlGradientReference<float>};

}  // namespace caracal::kernels
