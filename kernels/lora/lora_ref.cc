#include "kernels/lora/lora_ref.h"

namespace caracal::kernels {

const LoraLoops kLoraReference = {
    LoraProjectReference<float>,
    LoraExpandReference<float>,
    LoraOuterReference<float>,
};

}  // namespace caracal::kernels
