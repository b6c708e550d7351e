// A product added to a residual stream on the GPU against fp64, on inputs that
// bf16 holds exactly, and the norm after it.
#include "kernels/matmul/matmul_add_cuda.h"

#include <gtest/gtest.h>

#include <cmath>

#include "kernels/common/cuda_testing.h"
#include "kernels/matmul/matmul_cuda_testing.h"

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

using Matrix = DeviceMatrix<uint16_t>;

class MatMulAddCudaTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!MatMulAddCudaSupported()) GTEST_SKIP() << "Hopper only";
  }
  Workspace workspace() const { return {memory_.data(), memory_.size()}; }

 private:
  // Whatever it holds.
  DeviceArray<char> memory_{kMatMulAddCudaWorkspaceBytes};
};

// One rounding, of the sum; the product alone would have had its own.
void ExpectSums(const ReferenceProduct& products,
                const std::vector<double>& add,
                const std::vector<double>& got) {
  ASSERT_EQ(got.size(), products.value.size());
  for (size_t i = 0; i < got.size(); ++i) {
    const double expected = products.value[i] + add[i];
    ASSERT_NEAR(
        got[i], expected,
        products.error[i] + (kBf16Rounding + kUnitRoundoff) *
                                (std::abs(expected) + products.error[i]))
        << "at " << i;
  }
}

TEST_F(MatMulAddCudaTest, MatchesDoubleInPlaceAndBeside) {
  const int64_t shapes[][3] = {
      {1, 8, 8}, {3, 16, 64}, {128, 256, 72}, {129, 264, 136}, {300, 520, 328}};
  for (const auto& s : shapes) {
    const int64_t rows = s[0], N = s[1], K = s[2];
    SCOPED_TRACE(::testing::Message()
                 << "rows " << rows << " N " << N << " K " << K);
    const Matrix x(rows, K, Uniform(1)), weight(N, K, Uniform(2));
    const Matrix add(rows, N, Uniform(3, -4, 4)),
        in_place(rows, N, Uniform(3, -4, 4));
    const Matrix beside(rows, N);
    MatMulAddCuda({}, x.View(), weight.View(), add.View(), beside.View(), {},
                  workspace());
    MatMulAddCuda({}, x.View(), weight.View(), in_place.View(), in_place.View(),
                  {}, workspace());
    const ReferenceProduct products(x.Host(), weight.Host(), rows, N, K);
    ExpectSums(products, add.Host(), beside.Host());
    EXPECT_TRUE(beside.GapsIntact() && in_place.GapsIntact());
    EXPECT_EQ(in_place.Host(), beside.Host());
  }
}

// Of the result as it was stored.
TEST_F(MatMulAddCudaTest, NormOfTheResult) {
  for (const int64_t N : {8, 264, 1280}) {
    const int64_t rows = 150, K = 72, parts = NormPartsOf(N);
    const Matrix x(rows, K, Uniform(1)), weight(N, K, Uniform(2));
    const Matrix add(rows, N, Uniform(3, -4, 4)), y(rows, N), scaled(rows, N);
    const std::vector<float> norm = RandomVector(N, Uniform(4, 0.5, 2));
    const DeviceArray<float> norm_weight(norm), squares(rows * parts);
    MatMulAddCuda({}, x.View(), weight.View(), add.View(), y.View(),
                  {testing::VectorView(norm_weight), scaled.View(),
                   TensorView(squares.data(), {rows, parts})},
                  workspace());
    const std::vector<double> stored = y.Host(), got = scaled.Host();
    ExpectSums(ReferenceProduct(x.Host(), weight.Host(), rows, N, K),
               add.Host(), stored);
    for (size_t i = 0; i < got.size(); ++i) {
      const double expected = stored[i] * norm[i % N];
      ASSERT_NEAR(got[i], expected,
                  (kBf16Rounding + 2 * kUnitRoundoff) * std::abs(expected));
    }
    const std::vector<float> sums = squares.Host();
    for (int64_t r = 0; r < rows; ++r) {
      for (int64_t part = 0; part < parts; ++part) {
        double expected = 0;
        const int64_t end = std::min(N, (part + 1) * kNormPartColumns);
        for (int64_t j = part * kNormPartColumns; j < end; ++j) {
          expected += stored[r * N + j] * stored[r * N + j];
        }
        ASSERT_NEAR(sums[r * parts + part], expected,
                    kNormPartColumns * kUnitRoundoff * expected)
            << "row " << r << " part " << part;
      }
    }
    EXPECT_TRUE(scaled.GapsIntact());
  }
}

TEST_F(MatMulAddCudaTest, ManyTilesHaveTheSameBits) {
  const int64_t rows = 3000, N = 2568, K = 448;
  const Matrix x(rows, K, Uniform(1)), weight(N, K, Uniform(2));
  const Matrix add(rows, N, Uniform(3));
  std::vector<uint16_t> first;
  for (int i = 0; i < 3; ++i) {
    const Matrix y(rows, N);
    MatMulAddCuda({}, x.View(), weight.View(), add.View(), y.View(), {},
                  workspace());
    if (i == 0) {
      first = y.Bits();
      // A row of each tile.
      constexpr int64_t kFirst = 5, kStep = 127;
      const std::vector<double> some = EveryRow(x.Host(), K, kFirst, kStep);
      const auto count = static_cast<int64_t>(some.size()) / K;
      ExpectSums(ReferenceProduct(some, weight.Host(), count, N, K),
                 EveryRow(add.Host(), N, kFirst, kStep),
                 EveryRow(y.Host(), N, kFirst, kStep));
    }
    EXPECT_EQ(y.Bits(), first);
  }
}

}  // namespace
}  // namespace caracal::kernels
