// Scalar version of mat_vec.h, its specification.
#ifndef CARACAL_KERNELS_QUANT_MAT_VEC_REFERENCE_H_
#define CARACAL_KERNELS_QUANT_MAT_VEC_REFERENCE_H_

#include <cstdint>

#include "kernels/quant/mat_vec_simd.h"

namespace caracal::kernels::reference {

void MatVecRows(const MatVecTask& task, int64_t row_begin, int64_t row_end);

}  // namespace caracal::kernels::reference

#endif  // CARACAL_KERNELS_QUANT_MAT_VEC_REFERENCE_H_
