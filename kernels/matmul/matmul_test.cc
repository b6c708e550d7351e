#include "kernels/matmul/matmul.h"

#include <gtest/gtest.h>

#include <cmath>
#include <memory>
#include <vector>

#include "kernels/common/kernel_testing.h"
#include "kernels/matmul/matmul_ref.h"

namespace caracal::kernels {
namespace {

using testing::AvailableIsas;
using testing::kUnitRoundoff;
using testing::PoolContext;
using testing::ScopedIsa;
using testing::TestMatrix;
using testing::Uniform;

constexpr Transpose kBoth[] = {Transpose::kNo, Transpose::kYes};

struct Case {
  int64_t m, n, k;
  int64_t padding = 0;  // of every matrix
  float alpha = 1, beta = 0;
};

TestMatrix Operand(Transpose transpose, int64_t rows, int64_t columns,
                   int64_t padding, Uniform fill) {
  return transpose == Transpose::kYes
             ? TestMatrix(columns, rows, padding, fill)
             : TestMatrix(rows, columns, padding, fill);
}

// Against fp64; the tolerance is the usual bound of a dot product of length k,
// |alpha| sum_p |a_ip b_pj| (k + 2) u, and of the last two operations.
void Check(const Context& ctx, Transpose ta, Transpose tb, const Case& t) {
  TestMatrix a = Operand(ta, t.m, t.k, t.padding, Uniform(1));
  TestMatrix b = Operand(tb, t.k, t.n, t.padding, Uniform(2));
  TestMatrix c(t.m, t.n, t.padding, Uniform(3));
  const TestMatrix before = c;
  if (t.beta == 0) c.at(0, 0) = std::nanf("");
  MatMul(ctx, ta, tb, t.alpha, a.view(), b.view(), t.beta, c.view());
  const bool at = ta == Transpose::kYes, bt = tb == Transpose::kYes;
  for (int64_t i = 0; i < t.m; ++i) {
    for (int64_t j = 0; j < t.n; ++j) {
      double sum = 0, sum_abs = 0;
      for (int64_t p = 0; p < t.k; ++p) {
        const double term = double{at ? a.at(p, i) : a.at(i, p)} *
                            (bt ? b.at(j, p) : b.at(p, j));
        sum += term;
        sum_abs += std::abs(term);
      }
      const double kept = double{t.beta} * before.at(i, j);
      ASSERT_NEAR(c.at(i, j), t.alpha * sum + kept,
                  kUnitRoundoff * ((t.k + 3) * std::abs(t.alpha) * sum_abs +
                                   3 * std::abs(kept)))
          << "m " << t.m << " n " << t.n << " k " << t.k << " ta " << at
          << " tb " << bt << " at " << i << "," << j;
    }
  }
  EXPECT_TRUE(c.PaddingIntact());
}

TEST(MatMul, AllTransposesAndOddShapes) {
  PoolContext one(1), three(3);
  const Case cases[] = {
      {1, 1, 1},
      {2, 3, 5},
      {7, 5, 3, 2},
      {17, 33, 31, 3},
      {64, 48, 40},
      {65, 97, 129, 1},
      {100, 37, 250, 5},
      {33, 1, 70, 2},
      {1, 33, 70, 2},
      {5, 300, 1},
      {50, 60, 70, 1, 0.5, 1},
      {31, 70, 20, 0, -2, 0.25},
      {3, 40, 129, 4, -1, 2},
      {160, 144, 16},
  };
  for (const Case& t : cases) {
    for (Transpose ta : kBoth) {
      for (Transpose tb : kBoth) {
        Check(one.ctx, ta, tb, t);
        Check(three.ctx, ta, tb, t);
      }
    }
  }
}

// The loops of our own, up to a little beyond where the library takes over.
TEST(MatMul, FewRowsInEveryInstructionSet) {
  for (Isa isa : AvailableIsas()) {
    ScopedIsa scoped(isa);
    PoolContext pool(2);
    for (int64_t m = 1; m <= 6; ++m) {
      for (int64_t k = 1; k <= 33; ++k) {
        for (Transpose ta : kBoth) {
          for (Transpose tb : kBoth) {
            Check(pool.ctx, ta, tb, {m, 1 + k % 19, k, k % 3});
            Check(pool.ctx, ta, tb, {m, 35, k, 1, 0.5, 1.5});
          }
        }
      }
      Check(pool.ctx, Transpose::kNo, Transpose::kYes, {m, 600, 200, 3});
      Check(pool.ctx, Transpose::kNo, Transpose::kNo, {m, 600, 200, 3});
    }
  }
}

TEST(MatMul, EmptyDimensions) {
  PoolContext pool(2);
  TestMatrix a(3, 1), b(1, 4), c(3, 4, 0, Uniform(1));
  const TestMatrix before = c;
  TensorView no_columns = a.view(), no_rows = b.view();
  no_columns.shape[1] = 0;
  no_rows.shape[0] = 0;
  MatMul(pool.ctx, Transpose::kNo, Transpose::kNo, 1, no_columns, no_rows, 1,
         c.view());
  EXPECT_TRUE(c.SameBits(before));
  MatMul(pool.ctx, Transpose::kNo, Transpose::kNo, 1, no_columns, no_rows, 0,
         c.view());
  for (int64_t i = 0; i < 12; ++i) EXPECT_EQ(c.row(0)[i], 0.0f);
}

TEST(MatMul, SameBitsEveryTime) {
  for (int threads : {1, 2, 4}) {
    PoolContext pool(threads);
    for (int64_t m : {1, 3, 70, 300}) {
      TestMatrix a(m, 150, 0, Uniform(1)), b(130, 150, 0, Uniform(2));
      const auto run = [&] {
        TestMatrix c(m, 130);
        MatMul(pool.ctx, Transpose::kNo, Transpose::kYes, 1, a.view(), b.view(),
               0, c.view());
        return c;
      };
      const TestMatrix first = run();
      for (int i = 0; i < 10; ++i) ASSERT_TRUE(first.SameBits(run()));
    }
  }
}

// Whatever path each of these takes, here and in the library; the dimensions
// are around the borders of pieces, of blocks and of registers.
TEST(MatMul, SameBitsForAnyNumberOfThreads) {
  const Case cases[] = {
      {8, 576, 200},
      {8, 130, 2100, 1, 0.5, 1},
      {64, 600, 100},
      {96, 1000, 64},
      {97, 40, 300},
      {97, 576, 320},
      {130, 96, 81},
      {200, 72, 72, 1},
      {300, 8, 576, 0, 2},
      {301, 8, 100},
      {512, 16, 72},
      {512, 96, 40},
      {517, 200, 385, 3, 1, 0.5},
      {640, 288, 64},
      {1000, 8, 769},
      {1024, 72, 192},
      {1030, 336, 50},
      {100, 150, 67},
      {100, 1500, 50},
      {128, 9000, 16},
      {130, 16500, 9},
  };
  PoolContext one(1);
  std::vector<std::unique_ptr<PoolContext>> pools;
  for (int threads : {2, 3, 8}) {
    pools.push_back(std::make_unique<PoolContext>(threads));
  }
  for (const Case& t : cases) {
    for (Transpose ta : kBoth) {
      for (Transpose tb : kBoth) {
        TestMatrix a = Operand(ta, t.m, t.k, t.padding, Uniform(1));
        TestMatrix b = Operand(tb, t.k, t.n, t.padding, Uniform(2));
        const TestMatrix before(t.m, t.n, t.padding, Uniform(3));
        const auto run = [&](const Context& ctx) {
          TestMatrix c = before;
          MatMul(ctx, ta, tb, t.alpha, a.view(), b.view(), t.beta, c.view());
          return c;
        };
        const TestMatrix alone = run(one.ctx);
        for (const auto& pool : pools) {
          ASSERT_TRUE(alone.SameBits(run(pool->ctx)))
              << "m " << t.m << " n " << t.n << " k " << t.k << " ta "
              << (ta == Transpose::kYes) << " tb " << (tb == Transpose::kYes)
              << " threads " << pool->ctx.pool->threads();
        }
      }
    }
  }
}

TEST(MatMulDeathTest, ShapesMustAgree) {
  PoolContext pool(1);
  TestMatrix a(3, 4), b(5, 6), c(3, 6);
  EXPECT_DEATH(MatMul(pool.ctx, Transpose::kNo, Transpose::kNo, 1, a.view(),
                      b.view(), 0, c.view()),
               "5 vs 4");
}

}  // namespace
}  // namespace caracal::kernels
