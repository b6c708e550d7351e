#include "kernels/cross_entropy/cross_entropy.h"

#include <gtest/gtest.h>

#include <cmath>
#include <complex>

#include "kernels/common/kernel_testing.h"
#include "kernels/cross_entropy/cross_entropy_ref.h"

namespace caracal::kernels {
namespace {

using testing::AvailableIsas;
using testing::kUnitRoundoff;
using testing::PoolContext;
using testing::ScopedIsa;
using testing::TestMatrix;
using testing::Uniform;

std::vector<int64_t> Sizes() {
  std::vector<int64_t> sizes;
  for (int64_t v = 1; v <= 33; ++v) sizes.push_back(v);
  for (int64_t v : {127, 2047, 2048, 2049, 5003}) sizes.push_back(v);
  return sizes;
}

TensorView Ints(std::vector<int32_t>& v) {
  return TensorView(v.data(), {static_cast<int64_t>(v.size())});
}

// What CrossEntropyStatistics writes.
struct Statistics {
  explicit Statistics(int64_t rows)
      : max(rows, 1), sum(rows, 1), target(rows, 1), argmax(rows, -1) {}
  void Compute(const Context& ctx, TestMatrix& logits,
               std::vector<int32_t>& targets, int64_t vocab_begin) {
    CrossEntropyStatistics(ctx, logits.view(), Ints(targets), vocab_begin,
                           max.vector(), sum.vector(), target.vector(),
                           Ints(argmax));
  }
  TestMatrix max, sum, target;
  std::vector<int32_t> argmax;
};

TEST(CrossEntropy, StatisticsMatchDouble) {
  for (Isa isa : AvailableIsas()) {
    ScopedIsa scoped(isa);
    PoolContext pool(2);
    for (int64_t v : Sizes()) {
      const int64_t rows = 4, begin = 1000;
      TestMatrix logits(rows, v, 3, Uniform(v, -30, 30));
      // In this shard, before it, after it, and masked.
      std::vector<int32_t> targets = {static_cast<int32_t>(begin + v - 1), 999,
                                      static_cast<int32_t>(begin + v), -100};
      Statistics out(rows);
      out.Compute(pool.ctx, logits, targets, begin);
      for (int64_t r = 0; r < rows; ++r) {
        double max, sum;
        int64_t best;
        CrossEntropyStatisticsReference<double>(logits.Row(r).data(), v, &max,
                                                &sum, &best);
        EXPECT_EQ(out.max.at(r, 0), max);
        EXPECT_EQ(out.argmax[r], begin + best);
        // The argument's rounding (below 60, half an ulp), exp's 2 ulp and the
        // additions. Terms are positive.
        ASSERT_NEAR(out.sum.at(r, 0), sum, (v + 60 + 6) * kUnitRoundoff * sum)
            << NameOf(isa) << " V " << v;
        EXPECT_EQ(out.target.at(r, 0), r == 0 ? logits.at(0, v - 1) : 0.0f);
      }
    }
  }
}

TEST(CrossEntropy, ArgmaxIsTheFirstOfEquals) {
  for (Isa isa : AvailableIsas()) {
    ScopedIsa scoped(isa);
    PoolContext pool(1);
    TestMatrix logits(1, 6000, 0, Uniform(1));
    for (int64_t at : {5999, 4100, 2050}) {
      logits.at(0, at) = 7;
      std::vector<int32_t> targets = {0};
      Statistics out(1);
      out.Compute(pool.ctx, logits, targets, 0);
      EXPECT_EQ(out.argmax[0], at) << NameOf(isa);
    }
  }
}

TEST(CrossEntropy, InfinitiesAndNaN) {
  for (Isa isa : AvailableIsas()) {
    ScopedIsa scoped(isa);
    PoolContext pool(1);
    std::vector<int32_t> targets = {0};
    for (int64_t v : {5, 3000}) {
      TestMatrix logits(1, v);
      // Masked logits count for nothing, leading blocks of them included.
      for (int64_t i = 0; i + 1 < v; ++i) logits.at(0, i) = -HUGE_VALF;
      logits.at(0, v - 1) = 3;
      Statistics out(1);
      out.Compute(pool.ctx, logits, targets, 0);
      EXPECT_EQ(out.max.at(0, 0), 3.0f);
      EXPECT_EQ(out.sum.at(0, 0), 1.0f) << NameOf(isa) << " V " << v;
      EXPECT_EQ(out.argmax[0], v - 1);
      for (float bad : {std::nanf(""), HUGE_VALF}) {
        for (int64_t at : {int64_t{0}, v / 2, v - 1}) {
          TestMatrix spoilt(1, v, 0, Uniform(2));
          spoilt.at(0, at) = bad;
          Statistics of_spoilt(1);
          of_spoilt.Compute(pool.ctx, spoilt, targets, 0);
          EXPECT_TRUE(std::isnan(of_spoilt.sum.at(0, 0)))
              << NameOf(isa) << " V " << v << " at " << at;
        }
      }
    }
  }
}

TEST(CrossEntropy, ShardsCombineToTheWhole) {
  PoolContext pool(2);
  const int64_t v = 300;
  TestMatrix logits(1, v, 0, Uniform(3, -4, 4));
  std::vector<int32_t> targets = {211};
  Statistics whole(1);
  whole.Compute(pool.ctx, logits, targets, 0);
  double sum = 0, target = 0;
  for (int64_t begin : {0, 100, 200}) {
    TestMatrix shard(1, 100);
    for (int64_t i = 0; i < 100; ++i) shard.at(0, i) = logits.at(0, begin + i);
    Statistics part(1);
    part.Compute(pool.ctx, shard, targets, begin);
    sum += part.sum.at(0, 0) *
           std::exp(double{part.max.at(0, 0)} - whole.max.at(0, 0));
    target += part.target.at(0, 0);
  }
  EXPECT_EQ(target, logits.at(0, 211));
  EXPECT_NEAR(whole.sum.at(0, 0), sum, 320 * kUnitRoundoff * sum);
}

// d/dlogit of (lse - target logit) by a complex step.
TEST(CrossEntropy, ReferenceGradientMatchesComplexStep) {
  using Complex = std::complex<double>;
  constexpr double kStep = 1e-50;
  const int64_t v = 11, target = 4;
  Uniform uniform(9, -3, 3);
  std::vector<double> logits(v);
  for (double& x : logits) x = uniform();
  double max, sum;
  int64_t best;
  CrossEntropyStatisticsReference<double>(logits.data(), v, &max, &sum, &best);
  std::vector<double> gradient = logits;
  CrossEntropyGradientReference<double>(gradient.data(), v, max + std::log(sum),
                                        1.0);
  gradient[target] -= 1;
  for (int64_t i = 0; i < v; ++i) {
    std::vector<Complex> stepped(logits.begin(), logits.end());
    stepped[i] += Complex(0, kStep);
    Complex cmax, csum;
    CrossEntropyStatisticsReference<Complex>(stepped.data(), v, &cmax, &csum,
                                             &best);
    const Complex loss = cmax + std::log(csum) - stepped[target];
    EXPECT_NEAR(gradient[i], loss.imag() / kStep, 1e-14);
  }
}

TEST(CrossEntropy, GradientMatchesDouble) {
  for (Isa isa : AvailableIsas()) {
    ScopedIsa scoped(isa);
    PoolContext pool(2);
    for (int64_t v : Sizes()) {
      const int64_t rows = 4, begin = 50;
      TestMatrix logits(rows, v, 2, Uniform(v, -10, 10));
      logits.at(2, 0) = std::nanf("");  // masked below
      const TestMatrix before = logits;
      std::vector<int32_t> targets = {static_cast<int32_t>(begin + v / 2), 49,
                                      50, static_cast<int32_t>(begin)};
      TestMatrix lse(rows, 1, 0, Uniform(1, 10, 14));
      TestMatrix weight(rows, 1, 0, Uniform(2, 0.1, 2));
      weight.at(2, 0) = 0;
      CrossEntropyGradient(pool.ctx, logits.view(), Ints(targets), begin,
                           lse.vector(), weight.vector());
      for (int64_t r = 0; r < rows; ++r) {
        for (int64_t j = 0; j < v; ++j) {
          if (r == 2) {
            ASSERT_EQ(logits.at(r, j), 0.0f);
            continue;
          }
          const double w = weight.at(r, 0);
          const double p = std::exp(double{before.at(r, j)} - lse.at(r, 0));
          const double hit = targets[r] == begin + j ? 1 : 0;
          ASSERT_NEAR(logits.at(r, j), w * (p - hit),
                      (24 + 8) * kUnitRoundoff * w * (p + hit))
              << NameOf(isa) << " V " << v;
        }
      }
      EXPECT_TRUE(logits.PaddingIntact());
    }
  }
}

TEST(CrossEntropy, SameBitsForAnyThreads) {
  for (Isa isa : AvailableIsas()) {
    ScopedIsa scoped(isa);
    const int64_t rows = 9, v = 2500;
    std::vector<int32_t> targets(rows, 17);
    TestMatrix lse(rows, 1, 0, Uniform(1, 3, 4)),
        weight(rows, 1, 0, Uniform(2));
    const auto run = [&](int threads) {
      PoolContext pool(threads);
      TestMatrix logits(rows, v, 0, Uniform(3));
      Statistics out(rows);
      out.Compute(pool.ctx, logits, targets, 0);
      CrossEntropyGradient(pool.ctx, logits.view(), Ints(targets), 0,
                           lse.vector(), weight.vector());
      return std::vector<TestMatrix>{out.sum, logits};
    };
    const auto one = run(1);
    for (int threads : {2, 4}) {
      const auto many = run(threads);
      EXPECT_TRUE(one[0].SameBits(many[0]) && one[1].SameBits(many[1]));
    }
  }
}

}  // namespace
}  // namespace caracal::kernels
