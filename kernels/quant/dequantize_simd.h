// The vectorised versions behind dequantize.h, one namespace an instruction
// set.
#ifndef CARACAL_KERNELS_QUANT_DEQUANTIZE_SIMD_H_
#define CARACAL_KERNELS_QUANT_DEQUANTIZE_SIMD_H_

#include <cstdint>

#include "kernels/quant/encoding.h"

namespace caracal {

namespace avx2 {
void DequantizeBlocks(Encoding encoding, const uint8_t* data, int64_t blocks,
                      float* out);
bool AllFinite(const float* values, int64_t count);
}  // namespace avx2
namespace avx512 {
void DequantizeBlocks(Encoding encoding, const uint8_t* data, int64_t blocks,
                      float* out);
bool AllFinite(const float* values, int64_t count);
}  // namespace avx512

}  // namespace caracal

#endif  // CARACAL_KERNELS_QUANT_DEQUANTIZE_SIMD_H_
