// A gated MLP's first half on the GPU against fp64, on inputs that bf16 holds
// exactly.
#include "kernels/swiglu/swiglu_matmul_cuda.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

#include "kernels/common/cuda_testing.h"
#include "kernels/swiglu/swiglu_ref.h"

namespace caracal::kernels {
namespace {

using testing::DeviceArray;
using testing::DeviceMatrix;
using testing::kBf16Rounding;
using testing::kUnitRoundoff;
using testing::Uniform;

using Matrix = DeviceMatrix<uint16_t>;

// |silu'| is at most 1.0999.
constexpr double kSteepest = 1.1;

class SwigluMatMulCudaTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!SwigluMatMulCudaSupported()) GTEST_SKIP() << "Hopper only";
  }
  Workspace workspace() const { return {memory_.data(), memory_.size()}; }

 private:
  // Whatever it holds.
  DeviceArray<char> memory_{kSwigluMatMulCudaWorkspaceBytes};
};

// x [rows, K] W^T [K, columns], and the error of tensor cores' sums: the bound
// of a dot product, twice because they cut rather than round.
struct Products {
  Products(const std::vector<double>& x, const std::vector<double>& w,
           int64_t rows, int64_t columns, int64_t K)
      : value(rows * columns), error(rows * columns) {
    for (int64_t i = 0; i < rows; ++i) {
      for (int64_t j = 0; j < columns; ++j) {
        double sum = 0, sum_abs = 0;
        for (int64_t k = 0; k < K; ++k) {
          const double term = x[i * K + k] * w[j * K + k];
          sum += term;
          sum_abs += std::abs(term);
        }
        value[i * columns + j] = sum;
        error[i * columns + j] = kBf16Rounding * std::abs(sum) +
                                 2 * (K + 3) * kUnitRoundoff * sum_abs;
      }
    }
  }
  std::vector<double> value, error;
};

void Check(Workspace workspace, int64_t rows, int64_t F, int64_t K,
           const SwigluMatMulLayout& layout) {
  SCOPED_TRACE(::testing::Message()
               << "rows " << rows << " F " << F << " K " << K << " cluster "
               << layout.cluster << " group " << layout.row_group);
  const Matrix x(rows, K, Uniform(1)), weight(2 * F, K, Uniform(2));
  const Matrix gate_up(rows, 2 * F), out(rows, F), alone(rows, F);
  SwigluMatMulCuda({}, x.View(), weight.View(), gate_up.View(), out.View(),
                   workspace, layout);
  SwigluMatMulCuda({}, x.View(), weight.View(), TensorView(), alone.View(),
                   workspace, layout);
  const Products products(x.Host(), weight.Host(), rows, 2 * F, K);
  const std::vector<double> both = gate_up.Host(), got = out.Host();
  for (int64_t i = 0; i < rows; ++i) {
    for (int64_t j = 0; j < 2 * F; ++j) {
      const int64_t at = i * 2 * F + j;
      ASSERT_NEAR(both[at], products.value[at], products.error[at])
          << "at " << i << "," << j;
    }
    for (int64_t j = 0; j < F; ++j) {
      const int64_t g = i * 2 * F + j, u = g + F;
      double expected = 0;
      SwigluForwardReference<double>(&products.value[g], &products.value[u], 1,
                                     &expected);
      // The products' errors, passed on; the exponential's, the quotient's and
      // the product's; and the rounding.
      const double gate = products.value[g], up = products.value[u];
      const double silu_error = kSteepest * products.error[g];
      const double silu = std::abs(gate / (1 + std::exp(-gate)));
      const double before = silu_error * (std::abs(up) + products.error[u]) +
                            silu * products.error[u];
      const double most = std::abs(expected) + before;
      ASSERT_NEAR(
          got[i * F + j], expected,
          before + (kBf16Rounding + (2 * std::abs(gate) + 12) * kUnitRoundoff) *
                       most)
          << "at " << i << "," << j;
    }
  }
  EXPECT_TRUE(gate_up.GapsIntact() && out.GapsIntact());
  EXPECT_EQ(out.Bits(), alone.Bits());
}

TEST_F(SwigluMatMulCudaTest, MatchesDouble) {
  const int64_t shapes[][3] = {
      {1, 8, 8},      {3, 16, 64},     {128, 128, 64},  {129, 136, 72},
      {64, 256, 200}, {300, 264, 328}, {257, 640, 136}, {513, 72, 520},
  };
  for (const auto& s : shapes) {
    for (const int cluster : {1, 2}) {
      for (const int row_group : {1, 2, 8}) {
        Check(workspace(), s[0], s[1], s[2], {cluster, row_group});
      }
    }
  }
}

// More tiles than blocks, and long enough sums that the stages go round: who
// takes which tile does not show.
TEST_F(SwigluMatMulCudaTest, ManyTilesHaveTheSameBits) {
  const int64_t rows = 1900, F = 5000, K = 448;
  const Matrix x(rows, K, Uniform(1)), weight(2 * F, K, Uniform(2));
  std::vector<uint16_t> first;
  for (const int cluster : {1, 2, 2}) {
    for (const int row_group : {3, 16}) {
      const Matrix out(rows, F);
      SwigluMatMulCuda({}, x.View(), weight.View(), TensorView(), out.View(),
                       workspace(), {cluster, row_group});
      if (first.empty()) first = out.Bits();
      EXPECT_EQ(std::memcmp(first.data(), out.Bits().data(),
                            first.size() * sizeof(uint16_t)),
                0);
    }
  }
  // Some of it against fp64: a row in each tile.
  const Matrix out(rows, F);
  SwigluMatMulCuda({}, x.View(), weight.View(), TensorView(), out.View(),
                   workspace());
  const std::vector<double> xs = x.Host(), w = weight.Host(), got = out.Host();
  for (int64_t i = 5; i < rows; i += 127) {
    const std::vector<double> row(xs.begin() + i * K, xs.begin() + (i + 1) * K);
    const Products products(row, w, 1, 2 * F, K);
    for (int64_t j = 0; j < F; ++j) {
      const double gate = products.value[j], up = products.value[F + j];
      const double silu = gate / (1 + std::exp(-gate));
      const double before = kSteepest * products.error[j] *
                                (std::abs(up) + products.error[F + j]) +
                            std::abs(silu) * products.error[F + j];
      ASSERT_NEAR(
          got[i * F + j], silu * up,
          before + (kBf16Rounding + (2 * std::abs(gate) + 12) * kUnitRoundoff) *
                       (std::abs(silu * up) + before))
          << "at " << i << "," << j;
    }
  }
}

TEST_F(SwigluMatMulCudaTest, NoRows) {
  const Matrix x(0, 64), weight(32, 64, Uniform(1)), out(0, 16);
  SwigluMatMulCuda({}, x.View(), weight.View(), TensorView(), out.View(),
                   workspace());
}

}  // namespace
}  // namespace caracal::kernels
