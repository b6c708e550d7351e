// Matrix products on the GPU against fp64, on inputs that bf16 holds exactly.
#include "kernels/matmul/matmul_cuda.h"

#include <gtest/gtest.h>

#include <cmath>

#include "kernels/common/cuda_testing.h"

namespace caracal::kernels {
namespace {

using testing::DeviceArray;
using testing::DeviceMatrix;
using testing::kRoundingOf;
using testing::kUnitRoundoff;
using testing::Uniform;

constexpr Transpose kBoth[] = {Transpose::kNo, Transpose::kYes};

struct Case {
  int64_t m, n, k;
  float alpha = 1, beta = 0;
};

struct Library {
  explicit Library(int multiprocessors = 0) : plans(multiprocessors) {}
  MatMulCudaPlans plans;
  DeviceArray<char> memory{kMatMulCudaWorkspaceBytes};
  Workspace workspace{memory.data(), memory.size()};
};

using Operand = DeviceMatrix<uint16_t>;

Operand Make(Transpose t, int64_t rows, int64_t columns, Uniform fill) {
  return t == Transpose::kYes ? Operand(columns, rows, fill)
                              : Operand(rows, columns, fill);
}

// The bound of a dot product of length k, twice because tensor cores cut
// rather than round, of the last two operations, of C's rounding, and of the
// product's before C is added.
// `beside`: what is added is not C's old value, but another matrix.
template <typename Element>
void Check(Library& library, Transpose ta, Transpose tb, const Case& t,
           bool beside = false) {
  const Operand a = Make(ta, t.m, t.k, Uniform(1));
  const Operand b = Make(tb, t.k, t.n, Uniform(2));
  DeviceMatrix<Element> c(t.m, t.n, Uniform(3));
  const DeviceMatrix<Element> add(t.m, t.n, Uniform(3));
  const std::vector<double> before = c.Host();
  if (t.beta == 0 || beside) {  // whatever it held
    c.Set(std::vector<double>(t.m * t.n, std::nan("")));
  }
  MatMulCuda({}, library.plans, ta, tb, t.alpha, a.View(), b.View(), t.beta,
             c.View(), library.workspace,
             beside ? ConstTensorView(add.View()) : ConstTensorView());
  const std::vector<double> x = a.Host(), y = b.Host(), got = c.Host();
  const bool at = ta == Transpose::kYes, bt = tb == Transpose::kYes;
  for (int64_t i = 0; i < t.m; ++i) {
    for (int64_t j = 0; j < t.n; ++j) {
      double sum = 0, sum_abs = 0;
      for (int64_t p = 0; p < t.k; ++p) {
        const double term = (at ? x[p * t.m + i] : x[i * t.k + p]) *
                            (bt ? y[j * t.k + p] : y[p * t.n + j]);
        sum += term;
        sum_abs += std::abs(term);
      }
      const double kept = t.beta == 0 ? 0 : t.beta * before[i * t.n + j];
      const double expected = t.alpha * sum + kept;
      const double rounded =
          std::abs(expected) + (t.beta == 0 ? 0 : std::abs(t.alpha * sum));
      ASSERT_NEAR(
          got[i * t.n + j], expected,
          kRoundingOf<Element> * rounded +
              kUnitRoundoff * (2 * (t.k + 3) * std::abs(t.alpha) * sum_abs +
                               3 * std::abs(kept)))
          << "m " << t.m << " n " << t.n << " k " << t.k << " ta " << at
          << " tb " << bt << " at " << i << "," << j;
    }
  }
  EXPECT_TRUE(c.GapsIntact());
}

TEST(MatMulCuda, AllTransposesAndOddShapes) {
  Library library;
  const Case cases[] = {
      {1, 1, 1},
      {2, 3, 5},
      {7, 5, 3},
      {17, 33, 31},
      {64, 48, 40},
      {65, 97, 129},
      {33, 1, 70},
      {1, 300, 70},
      {128, 256, 64},
      {50, 60, 70, 0.5, 1},
      {31, 72, 24, -2, 0.25},
      {3, 40, 129, -1, 2},
      {8, 576, 1000, 1, 1},
      {576, 8, 3000, 2, 1},
  };
  for (const Case& t : cases) {
    for (Transpose ta : kBoth) {
      for (Transpose tb : kBoth) {
        Check<uint16_t>(library, ta, tb, t);
        Check<float>(library, ta, tb, t);
        if (t.beta == 0) continue;
        Check<uint16_t>(library, ta, tb, t, /*beside=*/true);
        Check<float>(library, ta, tb, t, /*beside=*/true);
      }
    }
  }
}

TEST(MatMulCuda, OnSomeOfTheMultiprocessors) {
  for (int multiprocessors : {2, 100}) {
    Library library(multiprocessors);
    for (Transpose tb : kBoth) {
      Check<uint16_t>(library, Transpose::kNo, tb, {300, 520, 64});
      Check<float>(library, Transpose::kYes, tb, {300, 520, 64, 1, 1});
    }
  }
}

// Slices that start and end anywhere: columns [1, 1 + n) of wider matrices.
TEST(MatMulCuda, UnalignedSlices) {
  Library library;
  const int64_t m = 20, n = 30, k = 50;
  const Operand a(m, k + 2, Uniform(1)), b(n, k + 2, Uniform(2));
  const DeviceMatrix<float> c(m, n + 2, Uniform(3));
  const auto slice = [](TensorView view, int64_t columns) {
    view.data = static_cast<char*>(view.data) + SizeOf(view.dtype);
    view.shape[1] = columns;
    return view;
  };
  const std::vector<double> x = a.Host(), y = b.Host(), before = c.Host();
  MatMulCuda({}, library.plans, Transpose::kNo, Transpose::kYes, 1,
             slice(a.View(), k), slice(b.View(), k), 0, slice(c.View(), n),
             library.workspace);
  const std::vector<double> got = c.Host();
  for (int64_t i = 0; i < m; ++i) {
    for (int64_t j = 0; j < n + 2; ++j) {
      if (j == 0 || j == n + 1) {
        ASSERT_EQ(got[i * (n + 2) + j], before[i * (n + 2) + j]);
        continue;
      }
      double sum = 0, sum_abs = 0;
      for (int64_t p = 1; p <= k; ++p) {
        const double term = x[i * (k + 2) + p] * y[(j - 1) * (k + 2) + p];
        sum += term;
        sum_abs += std::abs(term);
      }
      ASSERT_NEAR(got[i * (n + 2) + j], sum,
                  2 * (k + 3) * kUnitRoundoff * sum_abs);
    }
  }
}

// Rows that lie an odd number of elements apart.
TEST(MatMulCuda, OddStrides) {
  Library library;
  const int64_t m = 20, n = 31, k = 51;
  const DeviceArray<uint16_t> a(std::vector<uint16_t>(m * k, 0x3f80));
  const DeviceArray<uint16_t> b(std::vector<uint16_t>(n * k, 0x4040));
  const DeviceArray<float> c(m * n);
  MatMulCuda({}, library.plans, Transpose::kNo, Transpose::kYes, 1,
             TensorView(a.data(), DType::kBF16, {m, k}),
             TensorView(b.data(), DType::kBF16, {n, k}), 0,
             TensorView(c.data(), {m, n}), library.workspace);
  EXPECT_EQ(c.Host(), std::vector<float>(m * n, 1.0f * 3.0f * k));
}

// Long sums, which are cut into parts: the same bits each time, and with and
// without a workspace within the tolerance.
TEST(MatMulCuda, SameBitsAndOnePlanPerShape) {
  Library library;
  const int64_t m = 8, n = 4096, k = 8192;
  const Operand a(k, m, Uniform(1)), b(k, n, Uniform(2));
  std::vector<float> first;
  for (int i = 0; i < 5; ++i) {
    const DeviceMatrix<float> c(m, n);
    MatMulCuda({}, library.plans, Transpose::kYes, Transpose::kNo, 1, a.View(),
               b.View(), 0, c.View(), library.workspace);
    if (i == 0) first = c.Bits();
    EXPECT_EQ(std::memcmp(first.data(), c.Bits().data(),
                          first.size() * sizeof(float)),
              0);
  }
  EXPECT_EQ(library.plans.size(), 1);
  library.workspace = {};
  Check<float>(library, Transpose::kYes, Transpose::kNo, {8, 64, 4096});
  EXPECT_EQ(library.plans.size(), 2);
}

TEST(MatMulCuda, NoRowsOrColumns) {
  Library library;
  const Operand a(0, 8), b(8, 16, Uniform(1)), c(0, 16);
  MatMulCuda({}, library.plans, Transpose::kNo, Transpose::kNo, 1, a.View(),
             b.View(), 0, c.View(), library.workspace);
  EXPECT_EQ(library.plans.size(), 0);
}

}  // namespace
}  // namespace caracal::kernels
