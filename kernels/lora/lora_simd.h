// Vectorised loops of LoRA.
#ifndef CARACAL_KERNELS_LORA_LORA_SIMD_H_
#define CARACAL_KERNELS_LORA_LORA_SIMD_H_

#include "kernels/lora/lora_loops.h"

namespace caracal::kernels {
namespace avx2 {
extern const LoraLoops kLoraLoops;
}
namespace avx512 {
extern const LoraLoops kLoraLoops;
}
}  // namespace caracal::kernels

#endif  // CARACAL_KERNELS_LORA_LORA_SIMD_H_
