// The vectorised versions behind mat_vec.h, one namespace an instruction set.
#ifndef CARACAL_KERNELS_QUANT_MAT_VEC_SIMD_H_
#define CARACAL_KERNELS_QUANT_MAT_VEC_SIMD_H_

#include <cstdint>

#include "kernels/quant/encoding.h"

namespace caracal {

// y[b, r] = beta y[b, r] + w[r, :] . x[b, :] for rows [row_begin, row_end) of
// w and b in [0, batch). Strides in elements.
struct MatVecTask {
  EncodedView w;
  const float* x = nullptr;
  int64_t x_stride = 0;
  float* y = nullptr;
  int64_t y_stride = 0;
  int64_t batch = 0;
  float beta = 0;
};

namespace avx2 {
void MatVecRows(const MatVecTask& task, int64_t row_begin, int64_t row_end);
}  // namespace avx2
namespace avx512 {
void MatVecRows(const MatVecTask& task, int64_t row_begin, int64_t row_end);
}  // namespace avx512

}  // namespace caracal

#endif  // CARACAL_KERNELS_QUANT_MAT_VEC_SIMD_H_
