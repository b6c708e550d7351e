// Feature maps: every version against the scalar reference in fp64, and the
// reference's derivative by complex step.
#include "kernels/feature_map/feature_map.h"

#include <gtest/gtest.h>

#include <cmath>
#include <complex>
#include <vector>

#include "kernels/common/kernel_testing.h"
#include "kernels/feature_map/feature_map_ref.h"

namespace caracal::kernels {
namespace {

using ::caracal::testing::AvailableIsas;
using ::caracal::testing::kUnitRoundoff;
using ::caracal::testing::PoolContext;
using ::caracal::testing::ScopedIsa;
using ::caracal::testing::Uniform;

struct Shape {
  int64_t rows, x_heads, heads, D, F;
  double size;  // about the largest |z|
};

// phi's error, given that of z.
double Allowed(FeatureMapKind kind, double z_error, double phi) {
  switch (kind) {
    case FeatureMapKind::kIdentity:
    case FeatureMapKind::kT2r:
      return z_error;
    case FeatureMapKind::kElu1:  // slope at most 1, then a rounding
      return z_error + kUnitRoundoff * phi;
    case FeatureMapKind::kHedgehogFla:  // of 2z
      return 4 * z_error * phi + 1e-19;
    default:  // of z and of what it is compared with
      return 2 * z_error * phi + 1e-19;
  }
}

constexpr int64_t kSkip = 5;  // columns after the heads

TEST(FeatureMap, EveryVersionMatchesTheReference) {
  const Shape shapes[] = {{1, 1, 1, 16, 16, 2},   {7, 1, 3, 64, 64, 3},
                          {33, 2, 2, 20, 18, 3},  {300, 1, 2, 16, 32, 3},
                          {40, 3, 9, 80, 34, 20}, {40, 1, 1, 128, 256, 3},
                          {50, 1, 2, 64, 32, 80}, {0, 1, 1, 16, 16, 1}};
  for (int k = 0; k < kFeatureMapKinds; ++k) {
    const auto kind = static_cast<FeatureMapKind>(k);
    for (const Shape& s : shapes) {
      for (bool with_bias : {false, true}) {
        Uniform random(s.rows + s.F);
        const auto fill = [&](int64_t n, double size) {
          std::vector<float> values(n + 1);  // never empty
          for (float& v : values) v = static_cast<float>(size * random());
          return values;
        };
        const int64_t x_row = s.x_heads * s.D + kSkip;
        const int64_t Fout = FeatureMapOutputs(kind, s.F);
        const int64_t phi_row = s.heads * Fout + kSkip;
        std::vector<float> x = fill(s.rows * x_row, 1);
        std::vector<float> weight =
            fill(s.heads * s.D * s.F, s.size / std::sqrt(s.D));
        std::vector<float> bias = fill(s.heads * s.F, 1);
        TensorView x_view(x.data(), {s.rows, s.x_heads, s.D});
        x_view.stride[0] = x_row;
        // z has an error of sqrt(D) roundings of |x| |w|, at most 8 times
        // that at any element (Higham and Mary, 2019); phi's relative error is
        // twice z's, with a sum over F features.
        const double z_error =
            8 * kUnitRoundoff * (std::sqrt(s.D) * s.size + std::sqrt(s.F) + 8);
        for (Isa isa : AvailableIsas()) {
          ScopedIsa scoped(isa);
          PoolContext pool(2);
          std::vector<float> phi(s.rows * phi_row + 1, 77.0f);
          TensorView phi_view(phi.data(), {s.rows, s.heads, Fout});
          phi_view.stride[0] = phi_row;
          FeatureMapForward(pool.ctx, kind, x_view,
                            TensorView(weight.data(), {s.heads, s.D, s.F}),
                            with_bias ? TensorView(bias.data(), {s.heads, s.F})
                                      : TensorView(),
                            phi_view);
          for (int64_t r = 0; r < s.rows; ++r) {
            for (int64_t h = 0; h < s.heads; ++h) {
              const auto widen = [](const float* p, int64_t n) {
                return std::vector<double>(p, p + n);
              };
              const auto xs =
                  widen(&x[r * x_row + h / (s.heads / s.x_heads) * s.D], s.D);
              const auto w = widen(&weight[h * s.D * s.F], s.D * s.F);
              const auto b = widen(&bias[h * s.F], s.F);
              std::vector<double> z(s.F), want(Fout);
              FeatureProjection<double>(s.D, s.F, xs.data(), w.data(),
                                        with_bias ? b.data() : nullptr,
                                        z.data());
              kFeatureMapReference<double>[static_cast<int>(kind)].forward(
                  s.F, z.data(), want.data());
              for (int64_t f = 0; f < Fout; ++f) {
                const float got = phi[r * phi_row + h * Fout + f];
                const double allowed = Allowed(kind, z_error, want[f]);
                ASSERT_LE(std::fabs(got - want[f]), allowed)
                    << NameOf(isa) << " row " << r << " head " << h << " F "
                    << s.F << " feature " << f << " of " << want[f];
              }
            }
            for (int64_t c = s.heads * Fout; c < phi_row; ++c) {
              ASSERT_EQ(phi[r * phi_row + c], 77.0f);
            }
          }
        }
      }
    }
  }
}

TEST(FeatureMap, HedgehogIsTwoSoftmaxesWithAFloor) {
  const double z[3] = {0, std::log(3.0), -200};
  double phi[6];
  kFeatureMapReference<double>[0].forward(3, z, phi);
  EXPECT_NEAR(phi[0], 0.25, 1e-15);
  EXPECT_NEAR(phi[1], 0.75, 1e-15);
  EXPECT_EQ(phi[2], kFeatureFloor);
  EXPECT_EQ(phi[3], kFeatureFloor);
  EXPECT_EQ(phi[4], kFeatureFloor);
  EXPECT_NEAR(phi[5], 1, 1e-15);
}

// The last z makes the floor active in some elements.
TEST(FeatureMap, ReferenceDerivativeMatchesComplexStep) {
  constexpr double kStep = 1e-30;
  constexpr int64_t F = 6;
  for (int kind = 0; kind < kFeatureMapKinds; ++kind) {
    for (double size : {1.0, 5.0, 40.0}) {
      Uniform random(3);
      double z[F], dphi[2 * F], dz[F];
      for (double& v : z) v = size * random();
      for (double& v : dphi) v = random();
      kFeatureMapReference<double>[kind].backward(F, z, dphi, dz);
      for (int64_t i = 0; i < F; ++i) {
        std::complex<double> step[F], phi[2 * F] = {};
        for (int64_t f = 0; f < F; ++f) step[f] = z[f];
        step[i] += std::complex<double>(0, kStep);
        kFeatureMapReference<std::complex<double>>[kind].forward(F, step, phi);
        double sum = 0;
        for (int64_t f = 0; f < 2 * F; ++f) sum += phi[f].imag() * dphi[f];
        EXPECT_NEAR(sum / kStep, dz[i], 1e-14);
      }
    }
  }
}

}  // namespace
}  // namespace caracal::kernels
