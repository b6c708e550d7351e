// Rotary position embedding, "rotate half": element i of a head is paired
// with element i + D/2.
//     x'[i]       = x[i]       cos(p f_i) - x[i + D/2] sin(p f_i)
//     x'[i + D/2] = x[i + D/2] cos(p f_i) + x[i]       sin(p f_i)
// Source: RoFormer (arXiv 2104.09864), pairing as in Hugging Face's Llama.
#ifndef CARACAL_KERNELS_ROPE_ROPE_H_
#define CARACAL_KERNELS_ROPE_ROPE_H_

#include "kernels/common/context.h"
#include "kernels/common/tensor_view.h"

namespace caracal::kernels {

// In place on x [rows, heads, D], fp32, rows and heads may be strided, D even.
// positions int32 [rows], each within the tables cos, sin [P, D/2] (fp32,
// contiguous). `inverse` rotates back, which is also the gradient.
void Rope(const Context& ctx, TensorView x, ConstTensorView positions,
          ConstTensorView cos, ConstTensorView sin, bool inverse);

// Fills cos, sin [P, D/2] for positions 0 .. P - 1 and inv_freq [D/2]. The
// angle is the fp32 product position * inv_freq, as PyTorch computes it; its
// cosine and sine are rounded from fp64.
void RopeTable(ConstTensorView inv_freq, TensorView cos, TensorView sin);

}  // namespace caracal::kernels

#endif  // CARACAL_KERNELS_ROPE_ROPE_H_
