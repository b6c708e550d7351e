#include "core/model/linear_weight.h"

#include "kernels/matmul/matmul.h"

namespace caracal {

void LinearWeight::MultiplyTransposed(Execution& exec, ConstTensorView x,
                                      float beta, TensorView y) const {
  kernels::MatMul(exec.ctx, kernels::Transpose::kNo, kernels::Transpose::kYes,
                  1.0f, x, dense_.view(), beta, y);
}

}  // namespace caracal
