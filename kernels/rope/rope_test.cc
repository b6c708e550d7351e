#include "kernels/rope/rope.h"

#include <gtest/gtest.h>

#include <cmath>

#include "kernels/common/kernel_testing.h"
#include "kernels/rope/rope_ref.h"

namespace caracal::kernels {
namespace {

using testing::AvailableIsas;
using testing::kUnitRoundoff;
using testing::PoolContext;
using testing::ScopedIsa;
using testing::TestMatrix;
using testing::Uniform;

// [rows, heads, dim] inside a matrix whose row holds more than the heads.
TensorView HeadsOf(TestMatrix& x, int64_t heads, int64_t dim,
                   int64_t head_stride) {
  TensorView view(x.row(0), {x.rows(), heads, dim});
  view.stride[0] = x.stride();
  view.stride[1] = head_stride;
  return view;
}

TEST(Rope, MatchesDouble) {
  for (Isa isa : AvailableIsas()) {
    ScopedIsa scoped(isa);
    PoolContext pool(2);
    for (int64_t half = 1; half <= 35; ++half) {
      for (bool inverse : {false, true}) {
        const int64_t rows = 4, heads = 3, dim = 2 * half, stride = dim + 3;
        TestMatrix cos(9, half, 0, Uniform(1)), sin(9, half, 0, Uniform(2));
        TestMatrix x(rows, heads * stride, 2, Uniform(half));
        const TestMatrix before = x;
        std::vector<int32_t> positions = {8, 0, 3, 3};
        Rope(pool.ctx, HeadsOf(x, heads, dim, stride),
             TensorView(positions.data(), {rows}), cos.view(), sin.view(),
             inverse);
        for (int64_t r = 0; r < rows; ++r) {
          std::vector<double> expected = before.Row(r);
          RopeRotateReference<double>(expected.data(), stride, heads, half,
                                      cos.Row(positions[r]).data(),
                                      sin.Row(positions[r]).data(), inverse);
          for (int64_t c = 0; c < heads * stride; ++c) {
            if (c % stride >= dim) {
              ASSERT_EQ(x.at(r, c), before.at(r, c)) << "between heads";
              continue;
            }
            // Two products of factors below 1 and their sum.
            ASSERT_NEAR(x.at(r, c), expected[c], 4 * kUnitRoundoff)
                << NameOf(isa) << " half " << half;
          }
        }
        EXPECT_TRUE(x.PaddingIntact());
      }
    }
  }
}

TEST(Rope, InverseIsTheTransposedRotation) {
  PoolContext pool(1);
  const int64_t half = 32, rows = 16;
  TestMatrix inv_freq(1, half);
  for (int64_t i = 0; i < half; ++i) {
    inv_freq.at(0, i) = static_cast<float>(std::pow(10000.0, -i / 32.0));
  }
  TestMatrix cos(rows, half), sin(rows, half);
  RopeTable(inv_freq.vector(), cos.view(), sin.view());
  TestMatrix x(rows, 2 * half, 0, Uniform(3));
  TestMatrix g(rows, 2 * half, 0, Uniform(4));
  const TestMatrix x_before = x, g_before = g;
  std::vector<int32_t> positions(rows);
  for (int64_t r = 0; r < rows; ++r) positions[r] = r;
  const TensorView at(positions.data(), {rows});
  Rope(pool.ctx, HeadsOf(x, 1, 2 * half, 2 * half), at, cos.view(), sin.view(),
       false);
  Rope(pool.ctx, HeadsOf(g, 1, 2 * half, 2 * half), at, cos.view(), sin.view(),
       true);
  // <g, R x> = <R^T g, x>, and R^T R x = x.
  for (int64_t r = 0; r < rows; ++r) {
    double left = 0, right = 0;
    for (int64_t c = 0; c < 2 * half; ++c) {
      left += double{g_before.at(r, c)} * x.at(r, c);
      right += double{g.at(r, c)} * x_before.at(r, c);
    }
    EXPECT_NEAR(left, right, 2 * half * 8 * kUnitRoundoff);
  }
  Rope(pool.ctx, HeadsOf(x, 1, 2 * half, 2 * half), at, cos.view(), sin.view(),
       true);
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t c = 0; c < 2 * half; ++c) {
      EXPECT_NEAR(x.at(r, c), x_before.at(r, c), 16 * kUnitRoundoff);
    }
  }
}

// The angle is rounded to fp32 first: at position 8191 and frequency 0.7 that
// moves the cosine by up to 2.4e-4, far more than fp32's own rounding.
TEST(Rope, TableRoundsTheAngle) {
  TestMatrix inv_freq(1, 2);
  inv_freq.at(0, 0) = 1.0f;
  inv_freq.at(0, 1) = 0.7f;
  TestMatrix cos(8192, 2), sin(8192, 2);
  RopeTable(inv_freq.vector(), cos.view(), sin.view());
  EXPECT_EQ(cos.at(0, 0), 1.0f);
  EXPECT_EQ(sin.at(0, 1), 0.0f);
  for (int64_t p : {1, 100, 8191}) {
    const volatile float angle = static_cast<float>(p) * 0.7f;
    EXPECT_EQ(cos.at(p, 1), static_cast<float>(std::cos(double{angle})));
    EXPECT_EQ(sin.at(p, 1), static_cast<float>(std::sin(double{angle})));
  }
}

TEST(Rope, SameBitsForAnyThreads) {
  for (Isa isa : AvailableIsas()) {
    ScopedIsa scoped(isa);
    const int64_t rows = 13, half = 20;
    TestMatrix cos(rows, half, 0, Uniform(1)), sin(rows, half, 0, Uniform(2));
    std::vector<int32_t> positions(rows, 4);
    const auto run = [&](int threads) {
      PoolContext pool(threads);
      TestMatrix x(rows, 4 * half, 0, Uniform(3));
      Rope(pool.ctx, HeadsOf(x, 2, 2 * half, 2 * half),
           TensorView(positions.data(), {rows}), cos.view(), sin.view(), false);
      return x;
    };
    const TestMatrix one = run(1);
    for (int threads : {2, 5}) EXPECT_TRUE(one.SameBits(run(threads)));
  }
}

TEST(RopeDeathTest, PositionOutsideTheTable) {
  PoolContext pool(1);
  TestMatrix cos(4, 1), sin(4, 1), x(1, 2);
  int32_t position = 4;
  EXPECT_DEATH(Rope(pool.ctx, HeadsOf(x, 1, 2, 2), TensorView(&position, {1}),
                    cos.view(), sin.view(), false),
               "position 4");
}

}  // namespace
}  // namespace caracal::kernels
