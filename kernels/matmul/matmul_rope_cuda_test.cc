// Queries, keys and values on the GPU against fp64, on inputs that bf16 holds
// exactly.
#include "kernels/matmul/matmul_rope_cuda.h"

#include <gtest/gtest.h>

#include <cmath>

#include "kernels/common/cuda_testing.h"
#include "kernels/matmul/matmul_cuda_testing.h"
#include "kernels/rope/rope_ref.h"

namespace caracal::kernels {
namespace {

using testing::DeviceArray;
using testing::DeviceMatrix;
using testing::EveryRow;
using testing::kBf16Rounding;
using testing::kUnitRoundoff;
using testing::RandomVector;
using testing::ReferenceProduct;
using testing::Uniform;
using testing::VectorView;

using Matrix = DeviceMatrix<uint16_t>;

constexpr int64_t kPositions = 211;

class MatMulRopeCudaTest : public ::testing::TestWithParam<int64_t> {
 protected:
  void SetUp() override {
    if (!MatMulRopeCudaSupported(D)) GTEST_SKIP() << "Hopper only";
  }

  struct Problem {
    Problem(int64_t rows, int64_t N, int64_t K)
        : x(rows, K, Uniform(1)), weight(N, K, Uniform(2)) {
      for (int64_t r = 0; r < rows; ++r) {
        position.push_back(static_cast<int32_t>((r * 71 + 3) % kPositions));
      }
      positions = DeviceArray<int32_t>(position);
    }
    Matrix x, weight;
    std::vector<int32_t> position;
    DeviceArray<int32_t> positions;
  };

  void Run(const Problem& p, int64_t heads, const Matrix& y) const {
    MatMulRopeCuda({}, p.x.View(), p.weight.View(), heads,
                   VectorView(p.positions), Table(cos_device_),
                   Table(sin_device_), y.View(),
                   {memory_.data(), memory_.size()});
  }

  // Of a row of N columns at a position; `products`' row `row`.
  void ExpectRow(const ReferenceProduct& products, int64_t row, int64_t N,
                 int64_t heads, int32_t position, const double* got) const {
    const int64_t half = D / 2;
    const double* const value = &products.value[row * N];
    const double* const error = &products.error[row * N];
    const float *c = &cos_[position * half], *s = &sin_[position * half];
    const std::vector<double> cos(c, c + half), sin(s, s + half);
    std::vector<double> expected(value, value + N);
    RopeRotateReference<double>(expected.data(), D, heads, half, cos.data(),
                                sin.data(), /*inverse=*/false);
    for (int64_t i = 0; i < N; ++i) {
      double most = error[i];
      if (i < heads * D) {
        const int64_t j = i % D, pair = j < half ? i + half : i - half;
        const double a = std::abs(cos[j % half]), b = std::abs(sin[j % half]);
        // The pair's errors, passed on, and the rotation's own.
        most = a * error[i] + b * error[pair] +
               3 * kUnitRoundoff *
                   (a * std::abs(value[i]) + b * std::abs(value[pair]));
        most += kBf16Rounding * (std::abs(expected[i]) + most);
      }
      ASSERT_NEAR(got[i], expected[i], most)
          << "D " << D << " N " << N << " row " << row << " column " << i;
    }
  }

  const int64_t D = GetParam();

 private:
  TensorView Table(const DeviceArray<float>& table) const {
    return TensorView(table.data(), {kPositions, D / 2});
  }

  // Any numbers of at most 1 do for angles.
  const std::vector<float> cos_ = RandomVector(kPositions * D / 2, Uniform(3));
  const std::vector<float> sin_ = RandomVector(kPositions * D / 2, Uniform(4));
  const DeviceArray<float> cos_device_{cos_}, sin_device_{sin_};
  const DeviceArray<char> memory_{std::vector<char>(kMatMulTilesBytes)};
};

TEST_P(MatMulRopeCudaTest, MatchesDoubleAndLeavesOtherHeads) {
  const struct {
    int64_t rows, heads, others, K;
  } cases[] = {{1, 1, 0, 8},   {5, 3, 2, 64},     {128, 2, 2, 72},
               {129, 6, 1, 8}, {300, 10, 2, 328}, {257, 0, 3, 136}};
  for (const auto& c : cases) {
    const int64_t N = (c.heads + c.others) * D;
    const Problem p(c.rows, N, c.K);
    const Matrix y(c.rows, N);
    Run(p, c.heads, y);
    const ReferenceProduct products(p.x.Host(), p.weight.Host(), c.rows, N,
                                    c.K);
    const std::vector<double> got = y.Host();
    for (int64_t r = 0; r < c.rows; ++r) {
      ExpectRow(products, r, N, c.heads, p.position[r], &got[r * N]);
    }
    EXPECT_TRUE(y.GapsIntact());
  }
}

TEST_P(MatMulRopeCudaTest, ManyTilesHaveTheSameBits) {
  const int64_t rows = 3000, heads = 40, N = 48 * D, K = 448;
  const Problem p(rows, N, K);
  std::vector<uint16_t> first;
  for (int i = 0; i < 3; ++i) {
    const Matrix y(rows, N);
    Run(p, heads, y);
    if (i == 0) {
      first = y.Bits();
      // A row of each tile.
      constexpr int64_t kFirst = 5, kStep = 127;
      const std::vector<double> some = EveryRow(p.x.Host(), K, kFirst, kStep);
      const std::vector<double> got = EveryRow(y.Host(), N, kFirst, kStep);
      const auto count = static_cast<int64_t>(some.size()) / K;
      const ReferenceProduct products(some, p.weight.Host(), count, N, K);
      for (int64_t r = 0; r < count; ++r) {
        ExpectRow(products, r, N, heads, p.position[kFirst + r * kStep],
                  &got[r * N]);
      }
    }
    EXPECT_EQ(y.Bits(), first);
  }
}

INSTANTIATE_TEST_SUITE_P(HeadSizes, MatMulRopeCudaTest,
                         ::testing::Values(64, 128));

}  // namespace
}  // namespace caracal::kernels
