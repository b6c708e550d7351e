#include "kernels/cross_entropy/kl_divergence.h"

#include <gtest/gtest.h>

#include <cmath>
#include <complex>
#include <vector>

#include "kernels/common/kernel_testing.h"
#include "kernels/cross_entropy/kl_divergence_ref.h"

namespace caracal::kernels {
namespace {

using testing::AvailableIsas;
using testing::kUnitRoundoff;
using testing::PoolContext;
using testing::ScopedIsa;
using testing::TestMatrix;
using testing::Uniform;

constexpr KlDirection kDirections[] = {KlDirection::kForward,
                                       KlDirection::kReverse};

template <typename T>
T LogSumExp(const std::vector<T>& x) {
  T sum = T(0);
  for (const T& v : x) sum += std::exp(v);
  return std::log(sum);
}

TEST(KlDivergence, GradientMatchesComplexStep) {
  using Complex = std::complex<double>;
  Uniform random(3, -4, 4);
  std::vector<double> s(7), t(7);
  for (double& v : s) v = random();
  for (double& v : t) v = random();
  for (const KlDirection direction : kDirections) {
    KlRow<double> row{direction, 7, s.data(), LogSumExp(s), LogSumExp(t)};
    const double kl = KlDivergenceReference(row, t.data());
    EXPECT_GT(kl, 0.1);
    std::vector<double> gradient = t;
    KlGradientReference(row, kl, 1.0, gradient.data());
    for (int i = 0; i < 7; ++i) {
      std::vector<Complex> z(s.begin(), s.end()), p(t.begin(), t.end());
      z[i] += Complex(0, 1e-30);
      const KlRow<Complex> step{direction, 7, z.data(), LogSumExp(z),
                                LogSumExp(p)};
      EXPECT_NEAR(KlDivergenceReference(step, p.data()).imag() / 1e-30,
                  gradient[i], 1e-13);
    }
  }
}

TEST(KlDivergence, IsZeroOfTheSameLogits) {
  for (Isa isa : AvailableIsas()) {
    ScopedIsa scoped(isa);
    PoolContext pool(1);
    TestMatrix s(1, 50, 0, Uniform(1, -3, 3)), t(1, 50, 0, Uniform(1, -3, 3));
    TestMatrix lse(1, 1), kl(1, 1), weight(1, 1);
    lse.at(0, 0) = static_cast<float>(LogSumExp(s.Row(0)));
    weight.at(0, 0) = 1;
    for (const KlDirection direction : kDirections) {
      KlDivergence(pool.ctx, direction, s.view(), t.view(), lse.vector(),
                   lse.vector(), kl.vector());
      EXPECT_EQ(kl.at(0, 0), 0);
    }
    KlGradient(pool.ctx, KlDirection::kForward, s.view(), t.view(),
               lse.vector(), lse.vector(), kl.vector(), weight.vector());
    for (int64_t j = 0; j < 50; ++j) EXPECT_EQ(t.at(0, j), 0);
  }
}

// Each term is a probability times a difference of logits: rounding of the
// logits' size, |x| <= 20 less lse, in both factors.
TEST(KlDivergence, EveryVersionMatchesDouble) {
  for (Isa isa : AvailableIsas()) {
    ScopedIsa scoped(isa);
    PoolContext pool(2);
    for (const int64_t v : {1, 7, 8, 16, 17, 31, 33, 2051}) {
      const int64_t rows = 3;
      TestMatrix s(rows, v, 3, Uniform(v, -20, 20));
      TestMatrix t(rows, v, 5, Uniform(v + 1, -20, 20));
      TestMatrix s_lse(rows, 1), t_lse(rows, 1), kl(rows, 1), weight(rows, 1);
      for (int64_t r = 0; r < rows; ++r) {
        s_lse.at(r, 0) = static_cast<float>(LogSumExp(s.Row(r)));
        t_lse.at(r, 0) = static_cast<float>(LogSumExp(t.Row(r)));
        weight.at(r, 0) = r == 1 ? 0.0f : 0.5f + static_cast<float>(r);
      }
      for (const KlDirection direction : kDirections) {
        TestMatrix gradient = t;
        KlDivergence(pool.ctx, direction, s.view(), t.view(), s_lse.vector(),
                     t_lse.vector(), kl.vector());
        for (int64_t r = 0; r < rows; ++r) {
          const std::vector<double> logits = s.Row(r), teacher = t.Row(r);
          const KlRow<double> row{direction, v, logits.data(), s_lse.at(r, 0),
                                  t_lse.at(r, 0)};
          const double want = KlDivergenceReference(row, teacher.data());
          EXPECT_NEAR(kl.at(r, 0), want, 64 * 50 * kUnitRoundoff * (1 + want))
              << NameOf(isa) << " V " << v;
        }
        KlGradient(pool.ctx, direction, s.view(), gradient.view(),
                   s_lse.vector(), t_lse.vector(), kl.vector(),
                   weight.vector());
        EXPECT_TRUE(gradient.PaddingIntact());
        for (int64_t r = 0; r < rows; ++r) {
          const std::vector<double> logits = s.Row(r);
          std::vector<double> want = t.Row(r);
          const KlRow<double> row{direction, v, logits.data(), s_lse.at(r, 0),
                                  t_lse.at(r, 0)};
          KlGradientReference<double>(row, kl.at(r, 0), weight.at(r, 0),
                                      want.data());
          for (int64_t j = 0; j < v; ++j) {
            ASSERT_NEAR(
                gradient.at(r, j), want[j],
                64 * 50 * kUnitRoundoff * weight.at(r, 0) * (1 + kl.at(r, 0)))
                << NameOf(isa) << " V " << v << " column " << j;
          }
        }
      }
    }
  }
}

}  // namespace
}  // namespace caracal::kernels
