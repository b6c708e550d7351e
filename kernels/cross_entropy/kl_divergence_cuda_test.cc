// KL divergence on the GPU against the scalar reference in fp64, on bf16 and
// fp32 logits.
#include "kernels/cross_entropy/kl_divergence_cuda.h"

#include <gtest/gtest.h>

#include <cmath>

#include "kernels/common/cuda_testing.h"
#include "kernels/cross_entropy/kl_divergence_ref.h"

namespace caracal::kernels {
namespace {

using testing::DeviceArray;
using testing::DeviceMatrix;
using testing::kRoundingOf;
using testing::kUnitRoundoff;
using testing::Uniform;
using testing::VectorView;

constexpr KlDirection kDirections[] = {KlDirection::kForward,
                                       KlDirection::kReverse};
constexpr int64_t kSizes[] = {1,  2,    7,    8,    9,     15,    16,
                              17, 4095, 4096, 4100, 16384, 20003, 49152};

std::vector<float> LogSumExp(const std::vector<double>& x, int64_t v) {
  std::vector<float> out;
  for (size_t at = 0; at < x.size(); at += v) {
    double sum = 0;
    for (int64_t j = 0; j < v; ++j) sum += std::exp(x[at + j]);
    out.push_back(static_cast<float>(std::log(sum)));
  }
  return out;
}

template <typename Element>
class KlDivergenceCudaTest : public ::testing::Test {};
using Elements = ::testing::Types<uint16_t, float>;
TYPED_TEST_SUITE(KlDivergenceCudaTest, Elements);

TYPED_TEST(KlDivergenceCudaTest, DivergenceAndGradientMatchDouble) {
  for (int64_t v : kSizes) {
    const int64_t rows = 3;
    const DeviceMatrix<TypeParam> logits(rows, v, Uniform(v, -9, 9));
    const std::vector<double> s = logits.Host();
    const std::vector<float> s_lse = LogSumExp(s, v);
    for (KlDirection direction : kDirections) {
      const DeviceMatrix<TypeParam> teacher(rows, v, Uniform(v + 1, -9, 9));
      const std::vector<double> t = teacher.Host();
      const std::vector<float> t_lse = LogSumExp(t, v);
      const std::vector<float> weights = {0.75f, 0, 2};
      const DeviceArray<float> lse(s_lse), teacher_lse(t_lse), weight(weights);
      const DeviceArray<float> kl(rows);
      KlDivergenceCuda({}, direction, logits.View(), teacher.View(),
                       VectorView(lse), VectorView(teacher_lse),
                       VectorView(kl));
      KlGradientCuda({}, direction, logits.View(), teacher.View(),
                     VectorView(lse), VectorView(teacher_lse), VectorView(kl),
                     VectorView(weight));
      const std::vector<float> got_kl = kl.Host();
      const std::vector<double> got = teacher.Host();
      for (int64_t r = 0; r < rows; ++r) {
        KlRow<double> row;
        row.direction = direction;
        row.logits = &s[r * v];
        row.lse = s_lse[r];
        row.teacher_lse = t_lse[r];
        row.n = v;
        std::vector<double> expected(&t[r * v], &t[r * v] + v);
        const double divergence =
            KlDivergenceReference<double>(row, expected.data());
        // Differences of logits below 30 are rounded: 30 roundoffs each of a
        // logarithm, which an exponential makes relative.
        double sum_abs = 0;
        for (int64_t j = 0; j < v; ++j) {
          const double log_q = s[r * v + j] - s_lse[r];
          const double log_p = t[r * v + j] - t_lse[r];
          const double first =
              direction == KlDirection::kForward ? log_p : log_q;
          sum_abs += std::exp(first) * (std::abs(log_p - log_q) + 2);
        }
        const double error = (v / 512.0 + 30 + 3 * 30) * kUnitRoundoff;
        ASSERT_NEAR(got_kl[r], divergence, error * sum_abs) << "V " << v;
        KlGradientReference<double>(row, got_kl[r], weights[r],
                                    expected.data());
        for (int64_t j = 0; j < v; ++j) {
          if (weights[r] == 0) {
            ASSERT_EQ(got[r * v + j], 0);
            continue;
          }
          const double log_q = s[r * v + j] - s_lse[r];
          const double log_p = t[r * v + j] - t_lse[r];
          const double terms =
              direction == KlDirection::kForward
                  ? std::exp(log_q) + std::exp(log_p)
                  : std::exp(log_q) *
                        (std::abs(log_q) + std::abs(log_p) + divergence);
          ASSERT_NEAR(
              got[r * v + j], expected[j],
              kRoundingOf<TypeParam> * std::abs(expected[j]) +
                  (2 * 30 + 8) * kUnitRoundoff * weights[r] * (terms + 1e-30))
              << "V " << v << " at " << r << "," << j;
        }
      }
      EXPECT_TRUE(teacher.GapsIntact());
    }
  }
}

// A masked row may hold anything.
TYPED_TEST(KlDivergenceCudaTest, WeightZeroHidesNaN) {
  const int64_t v = 100;
  const DeviceMatrix<TypeParam> logits(1, v), teacher(1, v);
  const DeviceArray<float> nan(1), zero{std::vector<float>{0}};
  for (KlDirection direction : kDirections) {
    KlGradientCuda({}, direction, logits.View(), teacher.View(),
                   VectorView(nan), VectorView(nan), VectorView(nan),
                   VectorView(zero));
    EXPECT_EQ(teacher.Host(), std::vector<double>(v));
  }
}

}  // namespace
}  // namespace caracal::kernels
