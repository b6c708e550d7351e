// Scalar reference of the matrix product.
#ifndef CARACAL_KERNELS_MATMUL_MATMUL_REF_H_
#define CARACAL_KERNELS_MATMUL_MATMUL_REF_H_

#include <cstdint>

#include "kernels/matmul/matmul_loops.h"

namespace caracal::kernels {

// c[m, n] = alpha op(a) op(b) + beta c, sums in type Sum. The strides say what
// op is: element (i, p) of op(a) is a[i a_row + p a_column], and so for b.
template <typename Sum>
void MatMulReference(int64_t m, int64_t n, int64_t k, Sum alpha, const float* a,
                     int64_t a_row, int64_t a_column, const float* b,
                     int64_t b_row, int64_t b_column, Sum beta, Sum* c,
                     int64_t c_row) {
  for (int64_t i = 0; i < m; ++i) {
    for (int64_t j = 0; j < n; ++j) {
      Sum sum = 0;
      for (int64_t p = 0; p < k; ++p) {
        sum +=
            Sum{a[i * a_row + p * a_column]} * Sum{b[p * b_row + j * b_column]};
      }
      Sum& out = c[i * c_row + j];
      out = beta == 0 ? alpha * sum : alpha * sum + beta * out;
    }
  }
}

extern const MatMulLoops kMatMulReference;

}  // namespace caracal::kernels

#endif  // CARACAL_KERNELS_MATMUL_MATMUL_REF_H_
