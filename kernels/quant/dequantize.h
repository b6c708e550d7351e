// Encoded weights as fp32. Every path gives the same bits (the products are
// exact in fp32). No scratch memory.
#ifndef CARACAL_KERNELS_QUANT_DEQUANTIZE_H_
#define CARACAL_KERNELS_QUANT_DEQUANTIZE_H_

#include <cstdint>

#include "kernels/common/context.h"
#include "kernels/common/tensor_view.h"
#include "kernels/quant/encoding.h"

namespace caracal::kernels {

// Decodes `elements` (a multiple of the block) consecutive elements at `data`
// on the calling thread.
void DequantizeRow(Encoding encoding, const uint8_t* data, int64_t elements,
                   float* out);

// w [R, K] -> out [R, K] fp32, rows of unit stride; rows are spread over the
// threads.
void Dequantize(const Context& ctx, const EncodedView& w, TensorView out);

// The index of the first NaN or infinity in values[0, count), or -1. On the
// calling thread, at the speed of a read.
int64_t FirstNonFinite(const float* values, int64_t count);

}  // namespace caracal::kernels

#endif  // CARACAL_KERNELS_QUANT_DEQUANTIZE_H_
