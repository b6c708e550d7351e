// Scalar decoders of the encodings: the specification every faster path is
// tested against. Each decodes `blocks` consecutive blocks at `data` (any
// alignment) into out[blocks * block_elements]. The products are exact in
// fp32 (at most 24 significant bits), so there is one right answer.
#ifndef CARACAL_KERNELS_QUANT_DEQUANTIZE_REFERENCE_H_
#define CARACAL_KERNELS_QUANT_DEQUANTIZE_REFERENCE_H_

#include <cstdint>

namespace caracal::kernels::reference {

void DequantizeF32(const uint8_t* data, int64_t blocks, float* out);
void DequantizeF16(const uint8_t* data, int64_t blocks, float* out);
void DequantizeBF16(const uint8_t* data, int64_t blocks, float* out);
void DequantizeQ8_0(const uint8_t* data, int64_t blocks, float* out);
void DequantizeQ4_0(const uint8_t* data, int64_t blocks, float* out);
void DequantizeQ4_1(const uint8_t* data, int64_t blocks, float* out);
void DequantizeQ6_K(const uint8_t* data, int64_t blocks, float* out);

}  // namespace caracal::kernels::reference

#endif  // CARACAL_KERNELS_QUANT_DEQUANTIZE_REFERENCE_H_
