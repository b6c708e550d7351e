// RMSNorm over the last dimension and its gradient.
//     y[r, c] = x[r, c] inv_rms[r] weight[c]
//     inv_rms[r] = 1 / sqrt(mean_c x[r, c]^2 + eps)
// Source: Zhang and Sennrich (arXiv 1910.07467), as in the Llama family.
#ifndef CARACAL_KERNELS_RMS_NORM_RMS_NORM_H_
#define CARACAL_KERNELS_RMS_NORM_RMS_NORM_H_

#include "kernels/common/context.h"
#include "kernels/common/tensor_view.h"

namespace caracal::kernels {

// x, y [rows, C] fp32, rows may be strided, y may be x; weight [C];
// inv_rms [rows], or undefined when no backward follows.
void RmsNormForward(const Context& ctx, ConstTensorView x,
                    ConstTensorView weight, float eps, TensorView y,
                    TensorView inv_rms);

// dx [rows, C] = the gradient, or += with accumulate_dx; dx may be dy.
// dweight [C] += its gradient, or undefined. inv_rms is the forward's.
// Bit-identical for any number of threads.
void RmsNormBackward(const Context& ctx, ConstTensorView dy, ConstTensorView x,
                     ConstTensorView weight, ConstTensorView inv_rms,
                     bool accumulate_dx, TensorView dx, TensorView dweight);

}  // namespace caracal::kernels

#endif  // CARACAL_KERNELS_RMS_NORM_RMS_NORM_H_
