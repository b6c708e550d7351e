#include "kernels/swiglu/swiglu.h"

#include <gtest/gtest.h>

#include <cmath>
#include <complex>

#include "kernels/common/kernel_testing.h"
#include "kernels/swiglu/swiglu_ref.h"

namespace caracal::kernels {
namespace {

using testing::AvailableIsas;
using testing::kUnitRoundoff;
using testing::PoolContext;
using testing::ScopedIsa;
using testing::TestMatrix;
using testing::Uniform;

// exp is good to 2 ulp, i.e. 4 roundoffs; a sum, a quotient and products
// around it.
constexpr double kForwardTolerance = 10 * kUnitRoundoff;

std::vector<int64_t> Widths() {
  std::vector<int64_t> widths;
  for (int64_t c = 1; c <= 33; ++c) widths.push_back(c);
  widths.push_back(257);
  return widths;
}

TEST(Swiglu, ForwardMatchesDouble) {
  for (Isa isa : AvailableIsas()) {
    ScopedIsa scoped(isa);
    PoolContext pool(2);
    for (int64_t columns : Widths()) {
      const int64_t rows = 3;
      TestMatrix gate(rows, columns, 5, Uniform(columns, -20, 20));
      TestMatrix up(rows, columns, 1, Uniform(columns + 1, -2, 2));
      TestMatrix out(rows, columns, 3);
      SwigluForward(pool.ctx, gate.view(), up.view(), out.view());
      for (int64_t r = 0; r < rows; ++r) {
        std::vector<double> expected(columns);
        SwigluForwardReference<double>(gate.Row(r).data(), up.Row(r).data(),
                                       columns, expected.data());
        for (int64_t c = 0; c < columns; ++c) {
          ASSERT_NEAR(out.at(r, c), expected[c],
                      kForwardTolerance * std::abs(expected[c]))
              << NameOf(isa) << " gate " << gate.at(r, c);
        }
      }
      EXPECT_TRUE(out.PaddingIntact());
    }
  }
}

TEST(Swiglu, SaturatedGates) {
  for (Isa isa : AvailableIsas()) {
    ScopedIsa scoped(isa);
    PoolContext pool(1);
    TestMatrix gate(1, 3), up(1, 3), out(1, 3), dout(1, 3), dg(1, 3), du(1, 3);
    gate.at(0, 0) = -1000;
    gate.at(0, 1) = 1000;
    gate.at(0, 2) = std::nanf("");
    for (int c = 0; c < 3; ++c) up.at(0, c) = dout.at(0, c) = 2;
    SwigluForward(pool.ctx, gate.view(), up.view(), out.view());
    EXPECT_EQ(out.at(0, 0), 0.0f);
    EXPECT_EQ(out.at(0, 1), 2000.0f);
    EXPECT_TRUE(std::isnan(out.at(0, 2)));
    SwigluBackward(pool.ctx, dout.view(), gate.view(), up.view(), dg.view(),
                   du.view());
    EXPECT_EQ(dg.at(0, 0), 0.0f);
    EXPECT_EQ(du.at(0, 0), 0.0f);
    EXPECT_EQ(dg.at(0, 1), 4.0f);
    EXPECT_EQ(du.at(0, 1), 2000.0f);
    EXPECT_TRUE(std::isnan(dg.at(0, 2)) && std::isnan(du.at(0, 2)));
  }
}

TEST(Swiglu, ReferenceGradientsMatchComplexStep) {
  using Complex = std::complex<double>;
  constexpr double kStep = 1e-50;
  for (double g : {-9.0, -1.3, 0.0, 0.4, 12.0}) {
    const double u = 0.7, d = -1.1;
    double dg, du;
    SwigluBackwardReference<double>(&d, &g, &u, 1, &dg, &du);
    Complex out, cg(g, kStep), cu(u);
    SwigluForwardReference<Complex>(&cg, &cu, 1, &out);
    EXPECT_NEAR(dg, d * out.imag() / kStep, 1e-14);
    cg = g;
    cu = Complex(u, kStep);
    SwigluForwardReference<Complex>(&cg, &cu, 1, &out);
    EXPECT_NEAR(du, d * out.imag() / kStep, 1e-14 * (1 + std::abs(g)));
  }
}

TEST(Swiglu, BackwardMatchesDoubleAlsoInPlace) {
  for (Isa isa : AvailableIsas()) {
    ScopedIsa scoped(isa);
    PoolContext pool(2);
    for (int64_t columns : Widths()) {
      const int64_t rows = 3;
      TestMatrix gate(rows, columns, 5, Uniform(columns, -20, 20));
      TestMatrix up(rows, columns, 1, Uniform(columns + 1, -2, 2));
      TestMatrix dout(rows, columns, 2, Uniform(columns + 2));
      TestMatrix dgate(rows, columns, 5), dup(rows, columns, 1);
      SwigluBackward(pool.ctx, dout.view(), gate.view(), up.view(),
                     dgate.view(), dup.view());
      for (int64_t r = 0; r < rows; ++r) {
        std::vector<double> dg(columns), du(columns);
        SwigluBackwardReference<double>(dout.Row(r).data(), gate.Row(r).data(),
                                        up.Row(r).data(), columns, dg.data(),
                                        du.data());
        for (int64_t c = 0; c < columns; ++c) {
          const double g = gate.at(r, c), s = 1 / (1 + std::exp(-g));
          // 1 - s loses an absolute roundoff, and g (1 - s) may cancel 1.
          const double scale = std::abs(double{dout.at(r, c)} * up.at(r, c)) *
                               s * (1 + std::abs(g) * (1 - s + 0.5));
          ASSERT_NEAR(dgate.at(r, c), dg[c], 16 * kUnitRoundoff * scale);
          ASSERT_NEAR(dup.at(r, c), du[c], kForwardTolerance * std::abs(du[c]));
        }
      }
      EXPECT_TRUE(dgate.PaddingIntact() && dup.PaddingIntact());
      SwigluBackward(pool.ctx, dout.view(), gate.view(), up.view(), gate.view(),
                     up.view());
      EXPECT_TRUE(gate.SameBits(dgate) && up.SameBits(dup));
    }
  }
}

TEST(Swiglu, SameBitsForAnyThreads) {
  for (Isa isa : AvailableIsas()) {
    ScopedIsa scoped(isa);
    for (int64_t rows : {1, 11}) {
      TestMatrix gate(rows, 519, 0, Uniform(1)), up(rows, 519, 0, Uniform(2));
      const auto run = [&](int threads) {
        PoolContext pool(threads);
        TestMatrix out(rows, 519);
        SwigluForward(pool.ctx, gate.view(), up.view(), out.view());
        return out;
      };
      const TestMatrix one = run(1);
      for (int threads : {2, 5}) EXPECT_TRUE(one.SameBits(run(threads)));
    }
  }
}

}  // namespace
}  // namespace caracal::kernels
