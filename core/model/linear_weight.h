// A frozen weight matrix, in whichever form it is kept.
#ifndef CARACAL_CORE_MODEL_LINEAR_WEIGHT_H_
#define CARACAL_CORE_MODEL_LINEAR_WEIGHT_H_

#include <cstdint>

#include "core/tape/execution.h"
#include "core/tensor/tensor.h"

namespace caracal {

// W [out, in]. Immutable after loading; thread-safe to read.
class LinearWeight {
 public:
  LinearWeight() = default;
  // Dense fp32 [out, in], unit column stride.
  explicit LinearWeight(Tensor dense) : dense_(std::move(dense)) {}

  int64_t out_features() const { return dense_.dim(0); }
  int64_t in_features() const { return dense_.dim(1); }
  bool defined() const { return dense_.defined(); }

  // y = beta * y + x W^T.  x [rows, in], y [rows, out], fp32.
  void MultiplyTransposed(Execution& exec, ConstTensorView x, float beta,
                          TensorView y) const;

  // The whole matrix in fp32; training needs it.
  ConstTensorView dense() const { return dense_; }

 private:
  Tensor dense_;
};

}  // namespace caracal

#endif  // CARACAL_CORE_MODEL_LINEAR_WEIGHT_H_
