// Products with few vectors on the GPU against fp64, on inputs that bf16 holds
// exactly.
#include "kernels/matmul/mat_vec_cuda.h"

#include <gtest/gtest.h>

#include <cmath>

#include "kernels/common/cuda_testing.h"

namespace caracal::kernels {
namespace {

using testing::DeviceArray;
using testing::DeviceMatrix;
using testing::kBf16Rounding;
using testing::kRoundingOf;
using testing::kUnitRoundoff;
using testing::RandomVector;
using testing::Uniform;
using testing::VectorView;

using Matrix = DeviceMatrix<uint16_t>;

constexpr float kEps = 0.125f;

struct Sum {
  double value = 0, abs = 0;
};

// Row r of x, through the norm, not rounded.
std::vector<double> Vector(const Matrix& x, int64_t r, int64_t k,
                           const std::vector<float>& norm) {
  const std::vector<double> all = x.Host();
  std::vector<double> v(all.begin() + r * k, all.begin() + (r + 1) * k);
  if (norm.empty()) return v;
  double sum = 0;
  for (double e : v) sum += e * e;
  const double inv = 1 / std::sqrt(sum / k + kEps);
  for (int64_t i = 0; i < k; ++i) v[i] *= inv * norm[i];
  return v;
}

// Out: the elements of y.
template <typename Out = uint16_t>
void Check(int64_t rows, int64_t n, int64_t k, bool with_norm, bool with_add,
           bool swiglu) {
  SCOPED_TRACE(::testing::Message()
               << rows << " x " << n << " x " << k << " norm " << with_norm
               << " add " << with_add << " swiglu " << swiglu);
  const Matrix x(rows, k, Uniform(1)), w(swiglu ? 2 * n : n, k, Uniform(2));
  const Matrix add(rows, n, Uniform(3));
  const DeviceMatrix<Out> y(rows, n);
  const std::vector<float> norm =
      with_norm ? RandomVector(k, Uniform(4, 0.5, 2)) : std::vector<float>();
  const DeviceArray<float> norm_weight(norm);
  MatVecNorm through;
  if (with_norm) through = {VectorView(norm_weight), kEps};
  if (swiglu) {
    MatVecSwigluCuda({}, x.View(), through, w.View(), y.View());
  } else {
    MatVecCuda({}, x.View(), through, w.View(),
               with_add ? add.View() : ConstTensorView(), y.View());
  }
  const std::vector<double> weights = w.Host(), got = y.Host();
  const std::vector<double> added = add.Host();
  for (int64_t r = 0; r < rows; ++r) {
    const std::vector<double> v = Vector(x, r, k, norm);
    const auto dot = [&](int64_t row) {
      Sum s;
      for (int64_t i = 0; i < k; ++i) {
        const double term = weights[row * k + i] * v[i];
        s.value += term;
        s.abs += std::abs(term);
      }
      return s;
    };
    // A lane adds up to k / 32 terms in turn; a norm's rounding to bf16 comes
    // before the product.
    const double relative =
        (k / 32 + 8) * kUnitRoundoff + (with_norm ? kBf16Rounding : 0);
    for (int64_t i = 0; i < n; ++i) {
      const Sum s = dot(i);
      double want = s.value, error = relative * s.abs;
      if (swiglu) {
        const Sum up = dot(i + n);
        const double gate = s.value / (1 + std::exp(-s.value));
        // silu's slope is at most 1.1.
        error = 1.1 * error * std::abs(up.value) +
                std::abs(gate) * relative * up.abs +
                1.1 * error * relative * up.abs;
        want = gate * up.value;
      } else if (with_add) {
        want += added[r * n + i];
      }
      ASSERT_NEAR(
          got[r * n + i], want,
          error + (kRoundingOf<Out> + 8 * kUnitRoundoff) * std::abs(want))
          << "at " << r << "," << i;
    }
  }
  EXPECT_TRUE(y.GapsIntact());
}

TEST(MatVecCuda, RowsOutputsAndLengths) {
  for (int64_t rows : {1, 2, 3, 4}) {
    for (int64_t n : {1, 2, 15, 16, 17, 200}) {
      for (int64_t k : {8, 248, 256, 264, 2048, 4104}) {
        Check(rows, n, k, false, false, false);
      }
    }
  }
}

TEST(MatVecCuda, NormAddAndSwiglu) {
  for (int64_t rows : {1, 4}) {
    for (int64_t k : {8, 576, 4096}) {
      for (int variant = 0; variant < 8; ++variant) {
        Check(rows, 33, k, variant & 1, variant & 2, variant & 4);
      }
    }
  }
}

TEST(MatVecCuda, ManyOutputs) {
  Check(1, 16385, 64, true, true, false);
  Check(2, 16384 + 7, 64, true, false, true);
}

TEST(MatVecCuda, OutputsThatAreNotRounded) {
  Check<float>(1, 33, 576, true, false, false);
  Check<float>(4, 16385, 64, true, false, false);
}

TEST(MatVecCuda, InPlaceOfWhatItAdds) {
  const int64_t n = 64, k = 512;
  const Matrix x(1, k, Uniform(1)), w(n, k, Uniform(2));
  const Matrix apart(1, n), y(1, n, Uniform(3)), add(1, n, Uniform(3));
  MatVecCuda({}, x.View(), {}, w.View(), add.View(), apart.View());
  MatVecCuda({}, x.View(), {}, w.View(), y.View(), y.View());
  EXPECT_EQ(y.Host(), apart.Host());
}

}  // namespace
}  // namespace caracal::kernels
