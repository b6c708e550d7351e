// What the tests of products with work on their results compare with.
#ifndef CARACAL_KERNELS_MATMUL_MATMUL_CUDA_TESTING_H_
#define CARACAL_KERNELS_MATMUL_MATMUL_CUDA_TESTING_H_

#include <cmath>
#include <cstdint>
#include <vector>

#include "kernels/common/cuda_testing.h"
#include "kernels/matmul/norm_between.h"

namespace caracal::testing {

// x [rows, K] w^T, w [columns, K], in fp64, and how far from it a device's
// product may be that is rounded to bf16: the bound of a dot product, twice
// because tensor cores cut rather than round, and the rounding. Rows may be
// multiplied by factors, which the device has to within kFactorError.
struct ReferenceProduct {
  ReferenceProduct(const std::vector<double>& x, const std::vector<double>& w,
                   int64_t rows, int64_t columns, int64_t K,
                   const std::vector<double>& factor = {})
      : value(rows * columns), error(rows * columns) {
    for (int64_t i = 0; i < rows; ++i) {
      const double by = factor.empty() ? 1 : factor[i];
      for (int64_t j = 0; j < columns; ++j) {
        double sum = 0, sum_abs = 0;
        for (int64_t k = 0; k < K; ++k) {
          const double term = x[i * K + k] * w[j * K + k] * by;
          sum += term;
          sum_abs += std::abs(term);
        }
        const double before = 2 * (K + 3) * kUnitRoundoff * sum_abs +
                              kFactorError * std::abs(sum);
        value[i * columns + j] = sum;
        error[i * columns + j] =
            before + kBf16Rounding * (std::abs(sum) + before);
      }
    }
  }
  // A sum of a few parts, a root, a quotient and a product.
  static constexpr double kFactorError = 16 * kUnitRoundoff;
  std::vector<double> value, error;
};

// Sums of squares of parts of rows, and the factors that an RMSNorm makes of
// them: norm_between.h.
struct RandomSquares {
  RandomSquares(int64_t rows, int64_t K, uint64_t seed) {
    const int64_t parts = kernels::NormPartsOf(K);
    const std::vector<float> values =
        RandomVector(rows * parts, Uniform(seed, 0.5, 400));
    for (int64_t r = 0; r < rows; ++r) {
      double sum = 0;
      for (int64_t i = 0; i < parts; ++i) sum += values[r * parts + i];
      factor.push_back(1 / std::sqrt(sum / static_cast<double>(K) + kEps));
    }
    memory = DeviceArray<float>(values);
    norm.squares = TensorView(memory.data(), {rows, parts});
    norm.eps = kEps;
  }
  static constexpr float kEps = 0x1p-10f;
  std::vector<double> factor;
  DeviceArray<float> memory;
  kernels::RowNorm norm;
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
