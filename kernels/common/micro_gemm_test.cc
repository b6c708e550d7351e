// The small products against plain loops in fp64: every remainder of rows and
// columns, both layouts of A, padded strides, nothing written outside C.
#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <vector>

#include "kernels/common/kernel_testing.h"
#include "kernels/common/micro_gemm_testing.h"

namespace caracal {
namespace {

using testing::AvailableIsas;
using testing::kUnitRoundoff;
using testing::TestMatrix;
using testing::Uniform;

std::vector<const MicroGemmFunctions*> Versions() {
  std::vector<const MicroGemmFunctions*> versions;
  for (Isa isa : AvailableIsas()) {
    if (isa == Isa::kAvx2) versions.push_back(&avx2::kMicroGemmFunctions);
    if (isa == Isa::kAvx512) versions.push_back(&avx512::kMicroGemmFunctions);
  }
  return versions;
}

// Sums of K products of numbers below 1.
double Tolerance(int64_t K) { return (K + 2) * kUnitRoundoff * (K + 1); }

void CheckGemm(const MicroGemmFunctions& f, int64_t M, int64_t N, int64_t K,
               bool columns, bool add) {
  SCOPED_TRACE("M " + std::to_string(M) + " N " + std::to_string(N) + " K " +
               std::to_string(K) + " columns " + std::to_string(columns));
  TestMatrix a(columns ? K : M, columns ? M : K, 3, Uniform(1));
  TestMatrix b(K, N, 2, Uniform(2)), c(M, N, 5, Uniform(3));
  const TestMatrix before = c;
  f.gemm[columns][add](M, N, K, a.row(0), a.stride(), b.row(0), b.stride(),
                       c.row(0), c.stride());
  for (int64_t m = 0; m < M; ++m) {
    for (int64_t n = 0; n < N; ++n) {
      double want = add ? before.at(m, n) : 0;
      for (int64_t k = 0; k < K; ++k) {
        want += double{columns ? a.at(k, m) : a.at(m, k)} * b.at(k, n);
      }
      ASSERT_NEAR(c.at(m, n), want, Tolerance(K)) << m << ", " << n;
    }
  }
  EXPECT_TRUE(c.PaddingIntact());
}

TEST(MicroGemm, AnyShape) {
  for (const MicroGemmFunctions* f : Versions()) {
    for (int64_t M : {0, 1, 2, 3, 4, 5, 7, 8, 13}) {
      for (int64_t N : {1, 7, 8, 9, 15, 16, 17, 31, 32, 33, 48, 63, 80}) {
        for (int64_t K : {0, 1, 2, 5, 64}) {
          for (int variant = 0; variant < 4; ++variant) {
            CheckGemm(*f, M, N, K, variant & 1, variant & 2);
          }
        }
      }
    }
  }
}

TEST(MicroGemm, RowTimesMatrixAndDotRows) {
  for (const MicroGemmFunctions* f : Versions()) {
    for (int64_t N : {1, 7, 8, 16, 17, 64, 65, 100, 130}) {
      for (int64_t K : {1, 3, 16, 31, 64, 100}) {
        TestMatrix x(1, K, 0, Uniform(1)), b(K, N, 2, Uniform(2));
        TestMatrix rows(N, K, 3, Uniform(4));
        for (bool add : {false, true}) {
          TestMatrix y(1, N, 0, Uniform(3));
          const TestMatrix before = y;
          f->row_times_matrix[add](N, K, x.row(0), b.row(0), b.stride(),
                                   y.row(0));
          for (int64_t n = 0; n < N; ++n) {
            double want = add ? before.at(0, n) : 0;
            for (int64_t k = 0; k < K; ++k) {
              want += double{x.at(0, k)} * b.at(k, n);
            }
            ASSERT_NEAR(y.at(0, n), want, Tolerance(K));
          }
          EXPECT_TRUE(y.PaddingIntact());
        }
        TestMatrix out(1, N);
        f->dot_rows(N, K, x.row(0), rows.row(0), rows.stride(), out.row(0));
        for (int64_t n = 0; n < N; ++n) {
          double want = 0;
          for (int64_t k = 0; k < K; ++k) {
            want += double{x.at(0, k)} * rows.at(n, k);
          }
          ASSERT_NEAR(out.at(0, n), want, Tolerance(K));
        }
        EXPECT_TRUE(out.PaddingIntact());
      }
    }
  }
}

TEST(MicroGemm, Transpose) {
  for (const MicroGemmFunctions* f : Versions()) {
    for (int64_t rows : {1, 7, 8, 16, 19, 32, 40}) {
      for (int64_t cols : {1, 8, 15, 16, 33, 64}) {
        TestMatrix src(rows, cols, 3, Uniform(1)), dst(cols, rows, 2);
        f->transpose(rows, cols, src.row(0), src.stride(), dst.row(0),
                     dst.stride());
        for (int64_t r = 0; r < rows; ++r) {
          for (int64_t c = 0; c < cols; ++c) {
            ASSERT_EQ(dst.at(c, r), src.at(r, c));
          }
        }
        EXPECT_TRUE(dst.PaddingIntact());
      }
    }
  }
}

}  // namespace
}  // namespace caracal
