// What the tests of products with work on their results compare with.
#ifndef CARACAL_KERNELS_MATMUL_MATMUL_CUDA_TESTING_H_
#define CARACAL_KERNELS_MATMUL_MATMUL_CUDA_TESTING_H_

#include <cmath>
#include <cstdint>
#include <vector>

#include "kernels/common/cuda_testing.h"

namespace caracal::testing {

// x [rows, K] w^T, w [columns, K], in fp64, and how far from it a device's
// product may be that is rounded to bf16: the bound of a dot product, twice
// because tensor cores cut rather than round, and the rounding.
struct ReferenceProduct {
  ReferenceProduct(const std::vector<double>& x, const std::vector<double>& w,
                   int64_t rows, int64_t columns, int64_t K)
      : value(rows * columns), before(rows * columns), error(rows * columns) {
    for (int64_t i = 0; i < rows; ++i) {
      for (int64_t j = 0; j < columns; ++j) {
        double sum = 0, sum_abs = 0;
        for (int64_t k = 0; k < K; ++k) {
          const double term = x[i * K + k] * w[j * K + k];
          sum += term;
          sum_abs += std::abs(term);
        }
        const double of_sum = 2 * (K + 3) * kUnitRoundoff * sum_abs;
        value[i * columns + j] = sum;
        before[i * columns + j] = of_sum;
        error[i * columns + j] =
            of_sum + kBf16Rounding * (std::abs(sum) + of_sum);
      }
    }
  }
  std::vector<double> value;
  std::vector<double> before;  // the rounding
  std::vector<double> error;
};

// Some rows of a dense matrix, `step` apart.
inline std::vector<double> EveryRow(const std::vector<double>& matrix,
                                    int64_t columns, int64_t first,
                                    int64_t step) {
  std::vector<double> out;
  const auto rows = static_cast<int64_t>(matrix.size()) / columns;
  for (int64_t r = first; r < rows; r += step) {
    out.insert(out.end(), matrix.begin() + r * columns,
               matrix.begin() + (r + 1) * columns);
  }
  return out;
}

}  // namespace caracal::testing

#endif  // CARACAL_KERNELS_MATMUL_MATMUL_CUDA_TESTING_H_
