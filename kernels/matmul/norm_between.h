// An RMSNorm between two products on a Hopper device, without a pass of its
// own:
//     y = x / rms(x) * weight,   rms(x)^2 = mean of squares + eps
// The first product stores x, x * weight and sums of squares of each part of
// its rows (NormOutput); the second takes x * weight for its operand and
// multiplies its results' rows by 1 / rms(x) (RowNorm). A row of y is rounded
// before it is scaled, not afterwards: as often, and as far relative to it.
#ifndef CARACAL_KERNELS_MATMUL_NORM_BETWEEN_H_
#define CARACAL_KERNELS_MATMUL_NORM_BETWEEN_H_

#include <cstdint>

#include "kernels/common/tensor_view.h"

namespace caracal::kernels {

// Of a row whose squares are summed up together.
inline constexpr int kNormPartColumns = 256;
constexpr int64_t NormPartsOf(int64_t columns) {
  return (columns + kNormPartColumns - 1) / kNormPartColumns;
}

struct NormOutput {
  ConstTensorView weight;  // fp32 [C]
  TensorView scaled;       // bf16 [rows, C]; undefined: no norm is wanted
  TensorView squares;      // fp32 [rows, NormPartsOf(C)], contiguous
};

struct RowNorm {
  ConstTensorView squares;  // of NormOutput; undefined: rows as they are
  float eps = 0;
};

}  // namespace caracal::kernels

#endif  // CARACAL_KERNELS_MATMUL_NORM_BETWEEN_H_
