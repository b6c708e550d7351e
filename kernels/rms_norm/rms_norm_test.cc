#include "kernels/rms_norm/rms_norm.h"

#include <gtest/gtest.h>

#include <cmath>
#include <complex>

#include "kernels/common/kernel_testing.h"
#include "kernels/rms_norm/rms_norm_ref.h"

namespace caracal::kernels {
namespace {

using testing::AvailableIsas;
using testing::kUnitRoundoff;
using testing::PoolContext;
using testing::ScopedIsa;
using testing::TestMatrix;
using testing::Uniform;

constexpr float kEps = 1e-5f;

std::vector<int64_t> Widths() {
  std::vector<int64_t> widths;
  for (int64_t c = 1; c <= 33; ++c) widths.push_back(c);
  for (int64_t c : {63, 64, 65, 127, 129, 576}) widths.push_back(c);
  return widths;
}

TEST(RmsNorm, ForwardMatchesDouble) {
  for (Isa isa : AvailableIsas()) {
    ScopedIsa scoped(isa);
    PoolContext pool(2);
    for (int64_t columns : Widths()) {
      const int64_t rows = 3;
      TestMatrix x(rows, columns, 5, Uniform(columns, -3, 3));
      TestMatrix w(1, columns, 0, Uniform(columns + 99, 0.5, 2));
      TestMatrix y(rows, columns, 2), inv(rows, 1);
      RmsNormForward(pool.ctx, x.view(), w.vector(), kEps, y.view(),
                     inv.vector());
      // n terms of the sum, then mean, eps, root, quotient and two products.
      const double tolerance = (columns / 2.0 + 8) * kUnitRoundoff;
      for (int64_t r = 0; r < rows; ++r) {
        std::vector<double> expected(columns);
        double expected_inv;
        RmsNormForwardRowReference<double>(x.Row(r).data(), w.Row(0).data(),
                                           kEps, columns, expected.data(),
                                           &expected_inv);
        EXPECT_NEAR(inv.at(r, 0), expected_inv, tolerance * expected_inv);
        for (int64_t c = 0; c < columns; ++c) {
          ASSERT_NEAR(y.at(r, c), expected[c],
                      tolerance * std::abs(expected[c]))
              << NameOf(isa) << " columns " << columns << " at " << r << ","
              << c;
        }
      }
      EXPECT_TRUE(y.PaddingIntact() && inv.PaddingIntact());
    }
  }
}

TEST(RmsNorm, ForwardInPlaceWithoutInverse) {
  for (Isa isa : AvailableIsas()) {
    ScopedIsa scoped(isa);
    PoolContext pool(1);
    TestMatrix x(4, 37, 0, Uniform(1)), w(1, 37, 0, Uniform(2)), y(4, 37);
    RmsNormForward(pool.ctx, x.view(), w.vector(), kEps, y.view(), {});
    RmsNormForward(pool.ctx, x.view(), w.vector(), kEps, x.view(), {});
    EXPECT_TRUE(x.SameBits(y));
  }
}

// The reference's gradients against a complex step through its forward.
TEST(RmsNorm, ReferenceGradientsMatchComplexStep) {
  using Complex = std::complex<double>;
  const int64_t n = 13;
  Uniform uniform(7);
  std::vector<double> x(n), w(n), dy(n), dx(n), dw(n);
  for (int64_t i = 0; i < n; ++i) {
    x[i] = uniform(), w[i] = uniform() + 1.5, dy[i] = uniform();
  }
  double inv;
  std::vector<double> y(n);
  RmsNormForwardRowReference<double>(x.data(), w.data(), kEps, n, y.data(),
                                     &inv);
  RmsNormBackwardRowReference<double>(dy.data(), x.data(), w.data(), inv, n,
                                      false, dx.data());
  RmsNormBackwardWeightReference<double>(dy.data(), n, x.data(), n, &inv, 1, n,
                                         dw.data());
  constexpr double kStep = 1e-50;
  const auto derivative = [&](int64_t i, bool of_weight) {
    std::vector<Complex> cx(x.begin(), x.end()), cw(w.begin(), w.end()), cy(n);
    (of_weight ? cw : cx)[i] += Complex(0, kStep);
    RmsNormForwardRowReference<Complex>(cx.data(), cw.data(), Complex(kEps), n,
                                        cy.data(), nullptr);
    Complex loss = 0;
    for (int64_t c = 0; c < n; ++c) loss += dy[c] * cy[c];
    return loss.imag() / kStep;
  };
  for (int64_t i = 0; i < n; ++i) {
    EXPECT_NEAR(dx[i], derivative(i, false), 1e-13);
    EXPECT_NEAR(dw[i], derivative(i, true), 1e-13);
  }
}

TEST(RmsNorm, BackwardMatchesDouble) {
  for (Isa isa : AvailableIsas()) {
    ScopedIsa scoped(isa);
    PoolContext pool(2);
    for (int64_t columns : Widths()) {
      for (bool accumulate : {false, true}) {
        const int64_t rows = 3;
        TestMatrix x(rows, columns, 1, Uniform(columns, -3, 3));
        TestMatrix dy(rows, columns, 3, Uniform(columns + 7));
        TestMatrix w(1, columns, 0, Uniform(columns + 99, 0.5, 2));
        TestMatrix inv(rows, 1, 0, Uniform(5, 0.5, 2));
        TestMatrix dx(rows, columns, 4, Uniform(6));
        TestMatrix dw(1, columns, 0, Uniform(8));
        const TestMatrix dx_before = dx, dw_before = dw;
        RmsNormBackward(pool.ctx, dy.view(), x.view(), w.vector(), inv.vector(),
                        accumulate, dx.view(), dw.vector());
        for (int64_t r = 0; r < rows; ++r) {
          std::vector<double> expected = dx_before.Row(r);
          RmsNormBackwardRowReference<double>(
              dy.Row(r).data(), x.Row(r).data(), w.Row(0).data(), inv.at(r, 0),
              columns, accumulate, expected.data());
          double sum_abs = 0;
          for (int64_t c = 0; c < columns; ++c) {
            sum_abs += std::abs(double{dy.at(r, c)} * w.at(0, c) * x.at(r, c));
          }
          const double i = inv.at(r, 0);
          for (int64_t c = 0; c < columns; ++c) {
            const double scale = (columns + 8) * i * i * i * sum_abs / columns *
                                     std::abs(x.at(r, c)) +
                                 4 * i * std::abs(dy.at(r, c) * w.at(0, c)) +
                                 2 * std::abs(expected[c]) +
                                 std::abs(dx_before.at(r, c));
            ASSERT_NEAR(dx.at(r, c), expected[c], scale * kUnitRoundoff)
                << NameOf(isa) << " columns " << columns;
          }
        }
        for (int64_t c = 0; c < columns; ++c) {
          double expected = dw_before.at(0, c), sum_abs = std::abs(expected);
          for (int64_t r = 0; r < rows; ++r) {
            const double term = double{dy.at(r, c)} * x.at(r, c) * inv.at(r, 0);
            expected += term;
            sum_abs += std::abs(term);
          }
          ASSERT_NEAR(dw.at(0, c), expected,
                      (rows + 4) * kUnitRoundoff * sum_abs);
        }
        EXPECT_TRUE(dx.PaddingIntact() && dw.PaddingIntact());
      }
    }
  }
}

TEST(RmsNorm, SameBitsForAnyThreads) {
  for (Isa isa : AvailableIsas()) {
    ScopedIsa scoped(isa);
    const int64_t rows = 37, columns = 200;
    TestMatrix x(rows, columns, 0, Uniform(1)),
        dy(rows, columns, 0, Uniform(2));
    TestMatrix w(1, columns, 0, Uniform(3));
    const auto run = [&](int threads) {
      PoolContext pool(threads);
      TestMatrix y(rows, columns), inv(rows, 1), dx(rows, columns);
      TestMatrix dw(1, columns);
      RmsNormForward(pool.ctx, x.view(), w.vector(), kEps, y.view(),
                     inv.vector());
      RmsNormBackward(pool.ctx, dy.view(), x.view(), w.vector(), inv.vector(),
                      true, dx.view(), dw.vector());
      return std::vector<TestMatrix>{y, inv, dx, dw};
    };
    const auto one = run(1);
    for (int threads : {2, 3, 5}) {
      const auto many = run(threads);
      for (size_t i = 0; i < one.size(); ++i) {
        EXPECT_TRUE(one[i].SameBits(many[i])) << "output " << i;
      }
    }
  }
}

}  // namespace
}  // namespace caracal::kernels
