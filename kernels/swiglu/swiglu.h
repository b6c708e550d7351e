// SwiGLU: out = silu(gate) up, with silu(g) = g / (1 + exp(-g)).
// Source: Shazeer (arXiv 2002.05202), without the projections.
#ifndef CARACAL_KERNELS_SWIGLU_SWIGLU_H_
#define CARACAL_KERNELS_SWIGLU_SWIGLU_H_

#include "kernels/common/context.h"
#include "kernels/common/tensor_view.h"

namespace caracal::kernels {

// All [rows, F] fp32; rows may be strided, so that gate and up can be the
// halves of one [rows, 2F] matrix. out may be gate or up.
void SwigluForward(const Context& ctx, ConstTensorView gate, ConstTensorView up,
                   TensorView out);

// Overwrites dgate and dup, which may be gate and up, or dout.
void SwigluBackward(const Context& ctx, ConstTensorView dout,
                    ConstTensorView gate, ConstTensorView up, TensorView dgate,
                    TensorView dup);

}  // namespace caracal::kernels

#endif  // CARACAL_KERNELS_SWIGLU_SWIGLU_H_
