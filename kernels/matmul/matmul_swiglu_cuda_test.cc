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
  Workspace tiles() const { return {memory_.data(), memory_.size()}; }

 private:
  DeviceArray<char> memory_{std::vector<char>(kMatMulTilesBytes)};
};

// The halves of a row, [rows, F] each.
std::vector<double> Half(const std::vector<double>& both, int64_t F,
                         int which) {
  std::vector<double> out;
  for (size_t row = 0; row < both.size() / (2 * F); ++row) {
    const auto begin = both.begin() + (2 * row + which) * F;
    out.insert(out.end(), begin, begin + F);
  }
  return out;
}

// What the exponential (its argument's rounding and two ulp), the quotient and
// the products that follow add, and a rounding.
double OwnError(double gate, double terms) {
  return kBf16Rounding + (2 * std::abs(gate) + terms) * kUnitRoundoff;
}

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
    // The products' errors, passed on; then our own.
    const double passed_on =
        kSteepest * products.error[g] * (std::abs(up) + products.error[u]) +
        std::abs(silu) * products.error[u];
    ASSERT_NEAR(
        got[i], expected,
        passed_on + OwnError(gate, 12) * (std::abs(expected) + passed_on))
        << "at " << i / F << "," << i % F;
  }
}

// `slopes` [rows, 2 F].
void ExpectSlopes(const ReferenceProduct& products, int64_t F,
                  const std::vector<double>& slopes) {
  constexpr double kSteepest = 1.1, kBent = 0.5;  // |silu''| is at most 1/2
  const std::vector<double> of_gate = Half(slopes, F, 0);
  const std::vector<double> of_up = Half(slopes, F, 1);
  for (size_t i = 0; i < of_gate.size(); ++i) {
    const size_t g = i / F * 2 * F + i % F, u = g + F;
    const double gate = products.value[g], up = products.value[u];
    const double one = 1, s = 1 / (1 + std::exp(-gate));
    double by_gate = 0, by_up = 0;
    SwigluBackwardReference<double>(&one, &gate, &up, 1, &by_gate, &by_up);
    // 1 + g (1 - s) cancels near its zero.
    const double terms = std::abs(up) * s * (1 + std::abs(gate) * (1 - s));
    const double gate_error =
        kBent * products.error[g] * (std::abs(up) + products.error[u]) +
        kSteepest * products.error[u];
    ASSERT_NEAR(
        of_gate[i], by_gate,
        gate_error + kBf16Rounding * (std::abs(by_gate) + gate_error) +
            (2 * std::abs(gate) + 16) * kUnitRoundoff * (terms + gate_error))
        << "gate at " << i / F << "," << i % F;
    const double up_error = kSteepest * products.error[g];
    ASSERT_NEAR(of_up[i], by_up,
                up_error + OwnError(gate, 12) * (std::abs(by_up) + up_error))
        << "up at " << i / F << "," << i % F;
  }
}

void CheckForward(Workspace tiles, int64_t rows, int64_t F, int64_t K) {
  SCOPED_TRACE(::testing::Message()
               << "rows " << rows << " F " << F << " K " << K);
  const Matrix x(rows, K, Uniform(1)), weight(2 * F, K, Uniform(2));
  const Matrix slopes(rows, 2 * F), out(rows, F), alone(rows, F);
  MatMulSwigluCuda({}, x.View(), weight.View(), slopes.View(), out.View(),
                   tiles);
  MatMulSwigluCuda({}, x.View(), weight.View(), TensorView(), alone.View(),
                   tiles);
  const ReferenceProduct products(x.Host(), weight.Host(), rows, 2 * F, K);
  ExpectSwiglu(products, F, out.Host());
  ExpectSlopes(products, F, slopes.Host());
  EXPECT_TRUE(slopes.GapsIntact() && out.GapsIntact());
  EXPECT_EQ(out.Bits(), alone.Bits());
}

TEST_F(MatMulSwigluCudaTest, MatchesDouble) {
  const int64_t shapes[][3] = {
      {1, 8, 8},      {3, 16, 64},     {128, 128, 64},  {129, 136, 72},
      {64, 256, 200}, {300, 264, 328}, {257, 640, 136}, {513, 72, 520},
  };
  for (const auto& s : shapes) {
    CheckForward(tiles(), s[0], s[1], s[2]);
  }
}

// More tiles than blocks, and long enough sums that the stages go round: who
// takes which tile does not show.
TEST_F(MatMulSwigluCudaTest, ManyTilesHaveTheSameBits) {
  const int64_t rows = 1900, F = 5000, K = 448;
  const Matrix x(rows, K, Uniform(1)), weight(2 * F, K, Uniform(2));
  std::vector<uint16_t> first, first_slopes;
  for (int i = 0; i < 3; ++i) {
    const Matrix out(rows, F), alone(rows, F), slopes(rows, 2 * F);
    MatMulSwigluCuda({}, x.View(), weight.View(), slopes.View(), out.View(),
                     tiles());
    MatMulSwigluCuda({}, x.View(), weight.View(), TensorView(), alone.View(),
                     tiles());
    if (i == 0) {
      first = out.Bits();
      first_slopes = slopes.Bits();
      // A row of each tile.
      constexpr int64_t kFirst = 5, kStep = 127;
      const std::vector<double> some = EveryRow(x.Host(), K, kFirst, kStep);
      const auto count = static_cast<int64_t>(some.size()) / K;
      const ReferenceProduct products(some, weight.Host(), count, 2 * F, K);
      ExpectSwiglu(products, F, EveryRow(out.Host(), F, kFirst, kStep));
      ExpectSlopes(products, F, EveryRow(slopes.Host(), 2 * F, kFirst, kStep));
    }
    EXPECT_EQ(out.Bits(), first);
    EXPECT_EQ(alone.Bits(), first);
    EXPECT_EQ(slopes.Bits(), first_slopes);
  }
}

// w [rows, columns] with rows and columns exchanged.
std::vector<double> Transposed(const std::vector<double>& w, int64_t columns) {
  const auto rows = static_cast<int64_t>(w.size()) / columns;
  std::vector<double> out(w.size());
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t c = 0; c < columns; ++c)
      out[c * rows + r] = w[r * columns + c];
  }
  return out;
}

// `got` [rows, 2 F]: dy W times the slopes.
void ExpectGradients(const std::vector<double>& dy,
                     const std::vector<double>& weight, int64_t K,
                     const std::vector<double>& slopes,
                     const std::vector<double>& got) {
  const auto rows = static_cast<int64_t>(dy.size()) / K;
  const int64_t F = static_cast<int64_t>(slopes.size()) / rows / 2;
  const ReferenceProduct dout(dy, Transposed(weight, F), rows, F, K);
  for (size_t i = 0; i < slopes.size(); ++i) {
    const size_t at = i / (2 * F) * F + i % F;
    const double expected = dout.value[at] * slopes[i];
    // dout is not rounded; the product is, to fp32 and to bf16.
    const double error = dout.before[at] * std::abs(slopes[i]);
    ASSERT_NEAR(got[i], expected,
                error + (kBf16Rounding + 2 * kUnitRoundoff) *
                            (std::abs(expected) + error))
        << "at " << i / (2 * F) << "," << i % (2 * F);
  }
}

TEST_F(MatMulSwigluCudaTest, GradientsMatchDouble) {
  const int64_t shapes[][3] = {
      {1, 8, 8},      {3, 16, 64},     {128, 256, 64},  {129, 136, 72},
      {64, 264, 200}, {300, 520, 328}, {257, 640, 136}, {513, 72, 520},
  };
  for (const auto& s : shapes) {
    const int64_t rows = s[0], F = s[1], K = s[2];
    SCOPED_TRACE(::testing::Message()
                 << "rows " << rows << " F " << F << " K " << K);
    const Matrix dy(rows, K, Uniform(1)), weight(K, F, Uniform(2));
    const Matrix slopes(rows, 2 * F, Uniform(3, -4, 4));
    const std::vector<double> before = slopes.Host();
    MatMulSwigluBackwardCuda({}, dy.View(), weight.View(), slopes.View(),
                             tiles());
    ExpectGradients(dy.Host(), weight.Host(), K, before, slopes.Host());
    EXPECT_TRUE(slopes.GapsIntact());
  }
}

TEST_F(MatMulSwigluCudaTest, GradientsOfManyTilesHaveTheSameBits) {
  const int64_t rows = 1900, F = 5000, K = 448;
  const Matrix dy(rows, K, Uniform(1)), weight(K, F, Uniform(2));
  std::vector<uint16_t> first;
  for (int i = 0; i < 3; ++i) {
    const Matrix slopes(rows, 2 * F, Uniform(3, -4, 4));
    const std::vector<double> before = slopes.Host();
    MatMulSwigluBackwardCuda({}, dy.View(), weight.View(), slopes.View(),
                             tiles());
    if (i == 0) {
      first = slopes.Bits();
      // A row of each tile.
      constexpr int64_t kFirst = 5, kStep = 127;
      ExpectGradients(EveryRow(dy.Host(), K, kFirst, kStep), weight.Host(), K,
                      EveryRow(before, 2 * F, kFirst, kStep),
                      EveryRow(slopes.Host(), 2 * F, kFirst, kStep));
    }
    EXPECT_EQ(slopes.Bits(), first);
  }
}

// Of few tiles and of more than there are blocks: the next call counts from 0.
TEST_F(MatMulSwigluCudaTest, LeavesItsCountAtZero) {
  const int64_t K = 64;
  for (const auto& [rows, F] : {std::pair{300, 72}, {5000, 1200}}) {
    const Matrix x(rows, K, Uniform(1)), weight(2 * F, K, Uniform(2));
    const Matrix down(K, F, Uniform(3)), out(rows, F), slopes(rows, 2 * F);
    const auto expect_zero = [&] {
      std::vector<char> count(kMatMulTilesBytes, 1);
      CARACAL_CUDA_CHECK(cudaMemcpy(count.data(), tiles().data, count.size(),
                                    cudaMemcpyDeviceToHost));
      EXPECT_EQ(count, std::vector<char>(kMatMulTilesBytes)) << rows << " rows";
    };
    MatMulSwigluCuda({}, x.View(), weight.View(), slopes.View(), out.View(),
                     tiles());
    expect_zero();
    MatMulSwigluBackwardCuda({}, x.View(), down.View(), slopes.View(), tiles());
    expect_zero();
  }
}

TEST_F(MatMulSwigluCudaTest, NoRows) {
  const Matrix x(0, 64), weight(32, 64, Uniform(1)), out(0, 16);
  MatMulSwigluCuda({}, x.View(), weight.View(), TensorView(), out.View(),
                   tiles());
  const Matrix down(64, 16, Uniform(2)), slopes(0, 32);
  MatMulSwigluBackwardCuda({}, x.View(), down.View(), slopes.View(), tiles());
}

}  // namespace
}  // namespace caracal::kernels
