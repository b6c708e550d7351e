// Rotary position embedding on a CUDA device: the contract of rope.h, with
// these differences.
//  - x is bf16, rotated in fp32 and rounded once; it starts at a multiple of
//    16 bytes, its row and head strides are multiples of 8 elements and D of
//    16. A view of the query and key heads of a fused [rows, H + 2 Hkv, D]
//    buffer rotates both in one call.
//  - All views are device memory. A position outside the tables is not found
//    out: it reads what lies there. No call waits for the device or allocates.
#ifndef CARACAL_KERNELS_ROPE_ROPE_CUDA_H_
#define CARACAL_KERNELS_ROPE_ROPE_CUDA_H_

#include "kernels/rope/rope.h"

namespace caracal::kernels {

void RopeCuda(const Context& ctx, TensorView x, ConstTensorView positions,
              ConstTensorView cos, ConstTensorView sin, bool inverse);

}  // namespace caracal::kernels

#endif  // CARACAL_KERNELS_ROPE_ROPE_CUDA_H_
