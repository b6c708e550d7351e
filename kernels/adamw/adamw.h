// AdamW, and the few loops over flat parameters that surround it.
// Source: Loshchilov and Hutter (arXiv 1711.05101), in the order of
// operations of torch.optim.AdamW:
//     g <- grad_scale grad
//     p <- p (1 - lr weight_decay)
//     m <- m + (1 - beta1) (g - m);  v <- beta2 v + (1 - beta2) g^2
//     p <- p - lr / (1 - beta1^t) m / (sqrt(v) / sqrt(1 - beta2^t) + epsilon)
#ifndef CARACAL_KERNELS_ADAMW_ADAMW_H_
#define CARACAL_KERNELS_ADAMW_ADAMW_H_

#include <cstdint>

#include "kernels/common/context.h"
#include "kernels/common/tensor_view.h"

namespace caracal::kernels {

// In double, since 1 - beta2 of an fp32 beta2 = 0.999 is off by 1e-5.
struct AdamWConfig {
  double lr = 0;
  double beta1 = 0.9;
  double beta2 = 0.999;
  double epsilon = 1e-8;
  double weight_decay = 0;
  int64_t step = 1;       // t, 1 for the first
  double grad_scale = 1;  // multiplies the gradient first: the clip
};

// All flat fp32 [n]; param, m and v are updated.
void AdamWStep(const Context& ctx, const AdamWConfig& config, TensorView param,
               ConstTensorView grad, TensorView m, TensorView v);

// sum x^2 in fp64, the same bits for any number of threads. x contiguous.
double SumOfSquares(const Context& ctx, ConstTensorView x);

// True when no element is infinite or NaN. x contiguous.
bool AllFinite(const Context& ctx, ConstTensorView x);

// y += x; both contiguous, of equal size.
void Accumulate(const Context& ctx, ConstTensorView x, TensorView y);

}  // namespace caracal::kernels

#endif  // CARACAL_KERNELS_ADAMW_ADAMW_H_
