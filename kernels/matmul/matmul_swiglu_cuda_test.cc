// A gated MLP's first half on the GPU against fp64, on inputs that bf16 holds
// exactly.
#include "kernels/matmul/matmul_swiglu_cuda.h"

#include <gtest/gtest.h>

#include <cmath>

#include "kernels/common/cuda_testing.h"
#include "kernels/matmul/matmul_cuda_testing.h"
#include "kernels/swiglu/swiglu_ref.h"

namespace caracal::kernels {
namespace {

using testing::DeviceArray;
using testing::DeviceMatrix;
using testing::EveryRow;
using testing::kBf16Rounding;
using testing::kUnitRoundoff;
using testing::ReferenceProduct;
using testing::Uniform;

using Matrix = DeviceMatrix<uint16_t>;

class MatMulSwigluCudaTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!MatMulSwigluCudaSupported()) GTEST_SKIP() << "Hopper only";
  }
  Workspace workspace() const { return {memory_.data(), memory_.size()}; }

 private:
  // Whatever it holds.
  DeviceArray<char> memory_{kMatMulSwigluCudaWorkspaceBytes};
};

// `products` [rows, 2 F], got [rows, F].
void ExpectSwiglu(const ReferenceProduct& products, int64_t F,
                  const std::vector<double>& got) {
  constexpr double kSteepest = 1.1;  // |silu'| is at most 1.0999
  ASSERT_EQ(2 * got.size(), products.value.size());
  for (size_t i = 0; i < got.size(); ++i) {
    const size_t g = i / F * 2 * F + i % F, u = g + F;
    const double gate = products.value[g], up = products.value[u];
    double expected = 0, silu = 0;
    const double one = 1;
    SwigluForwardReference<double>(&gate, &up, 1, &expected);
    SwigluForwardReference<double>(&gate, &one, 1, &silu);
    // The products' errors, passed on; then the exponential's (its argument's
    // rounding and two ulp), the quotient's and the products', and a rounding.
    const double passed_on =
        kSteepest * products.error[g] * (std::abs(up) + products.error[u]) +
        std::abs(silu) * products.error[u];
    const double own =
        kBf16Rounding + (2 * std::abs(gate) + 12) * kUnitRoundoff;
    ASSERT_NEAR(got[i], expected,
                passed_on + own * (std::abs(expected) + passed_on))
        << "at " << i / F << "," << i % F;
  }
}

void Check(Workspace workspace, int64_t rows, int64_t F, int64_t K) {
  SCOPED_TRACE(::testing::Message()
               << "rows " << rows << " F " << F << " K " << K);
  const Matrix x(rows, K, Uniform(1)), weight(2 * F, K, Uniform(2));
  const Matrix gate_up(rows, 2 * F), out(rows, F), alone(rows, F);
  MatMulSwigluCuda({}, x.View(), weight.View(), gate_up.View(), out.View(),
                   workspace);
  MatMulSwigluCuda({}, x.View(), weight.View(), TensorView(), alone.View(),
                   workspace);
  const ReferenceProduct products(x.Host(), weight.Host(), rows, 2 * F, K);
  const std::vector<double> both = gate_up.Host();
  for (size_t i = 0; i < both.size(); ++i) {
    ASSERT_NEAR(both[i], products.value[i], products.error[i])
        << "gate and up at " << i;
  }
  ExpectSwiglu(products, F, out.Host());
  EXPECT_TRUE(gate_up.GapsIntact() && out.GapsIntact());
  EXPECT_EQ(out.Bits(), alone.Bits());
}

TEST_F(MatMulSwigluCudaTest, MatchesDouble) {
  const int64_t shapes[][3] = {
      {1, 8, 8},      {3, 16, 64},     {128, 128, 64},  {129, 136, 72},
      {64, 256, 200}, {300, 264, 328}, {257, 640, 136}, {513, 72, 520},
  };
  for (const auto& s : shapes) {
    Check(workspace(), s[0], s[1], s[2]);
  }
}

// More tiles than blocks, and long enough sums that the stages go round: who
// takes which tile does not show.
TEST_F(MatMulSwigluCudaTest, ManyTilesHaveTheSameBits) {
  const int64_t rows = 1900, F = 5000, K = 448;
  const Matrix x(rows, K, Uniform(1)), weight(2 * F, K, Uniform(2));
  std::vector<uint16_t> first;
  for (int i = 0; i < 3; ++i) {
    const Matrix out(rows, F);
    MatMulSwigluCuda({}, x.View(), weight.View(), TensorView(), out.View(),
                     workspace());
    if (i == 0) {
      first = out.Bits();
      // A row of each tile.
      constexpr int64_t kFirst = 5, kStep = 127;
      const std::vector<double> some = EveryRow(x.Host(), K, kFirst, kStep);
      const auto count = static_cast<int64_t>(some.size()) / K;
      const ReferenceProduct products(some, weight.Host(), count, 2 * F, K);
      ExpectSwiglu(products, F, EveryRow(out.Host(), F, kFirst, kStep));
    }
    EXPECT_EQ(out.Bits(), first);
  }
}

TEST_F(MatMulSwigluCudaTest, NoRows) {
  const Matrix x(0, 64), weight(32, 64, Uniform(1)), out(0, 16);
  MatMulSwigluCuda({}, x.View(), weight.View(), TensorView(), out.View(),
                   workspace());
}

}  // namespace
}  // namespace caracal::kernels
