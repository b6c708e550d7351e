// A frozen weight matrix, in whichever form it is kept.
#ifndef CARACAL_CORE_MODEL_LINEAR_WEIGHT_H_
#define CARACAL_CORE_MODEL_LINEAR_WEIGHT_H_

#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "core/io/weight_source.h"
#include "core/tape/execution.h"
#include "core/tensor/tensor.h"

namespace caracal {

// W [out, in]: dense fp32, or blocks as they are encoded in the model's file.
// Immutable after loading; thread-safe to read; copies share the memory. Blocks
// may lie in the file of the WeightSource they came from: keep that as long.
class LinearWeight {
 public:
  LinearWeight() = default;
  // Dense fp32 [out, in], unit column stride.
  explicit LinearWeight(Tensor dense);
  // Encoded matrices of equal width, one below the other.
  explicit LinearWeight(std::vector<EncodedMatrix> parts);

  int64_t out_features() const { return out_; }
  int64_t in_features() const { return in_; }
  bool defined() const { return out_ > 0; }

  // y = beta * y + x W^T.  x [rows, in], y [rows, out], fp32.
  void MultiplyTransposed(Execution& exec, ConstTensorView x, float beta,
                          TensorView y) const;

  // y[i] = W[ids[i] - first_row], zeros for rows that are not here: token
  // embeddings. ids int32 [rows], y [rows, in].
  void Gather(Execution& exec, ConstTensorView ids, int64_t first_row,
              TensorView y) const;

  // The whole matrix in fp32; training needs it. CHECKs that it is dense.
  ConstTensorView dense() const;

 private:
  int64_t out_ = 0, in_ = 0;
  Tensor dense_;
  std::shared_ptr<const std::vector<EncodedMatrix>> parts_;
};

}  // namespace caracal

#endif  // CARACAL_CORE_MODEL_LINEAR_WEIGHT_H_
