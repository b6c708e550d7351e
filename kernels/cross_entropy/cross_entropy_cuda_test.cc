// Cross-entropy on the GPU against the scalar reference in fp64, on bf16 and
// fp32 logits.
#include "kernels/cross_entropy/cross_entropy_cuda.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <optional>
#include <vector>

#include "kernels/common/cuda_testing.h"
#include "kernels/cross_entropy/cross_entropy_ref.h"

namespace caracal::kernels {
namespace {

using testing::DeviceArray;
using testing::DeviceMatrix;
using testing::kRoundingOf;
using testing::kUnitRoundoff;
using testing::RandomVector;
using testing::Uniform;
using testing::VectorView;

// Less than a pack, every remainder, a block's share and beyond.
std::vector<int64_t> Sizes() {
  std::vector<int64_t> sizes;
  for (int64_t v = 1; v <= 17; ++v) sizes.push_back(v);
  for (int64_t v : {4095, 4096, 4097, 16384, 16389, 49152, 50257}) {
    sizes.push_back(v);
  }
  return sizes;
}

// A thread's terms in turn, then the levels of the tree: each with two
// exponentials, whose arguments are differences below 88.
double SumError(int64_t v) {
  return (v / 512.0 + 10 * 4 + 2 * 88 + 8) * kUnitRoundoff;
}

// What CrossEntropyStatisticsCuda writes.
struct Statistics {
  explicit Statistics(int64_t rows)
      : max(rows), sum(rows), target(rows), argmax(rows) {}
  template <typename Element>
  Statistics(const DeviceMatrix<Element>& logits,
             const std::vector<int32_t>& targets, int64_t vocab_begin)
      : Statistics(static_cast<int64_t>(targets.size())) {
    const DeviceArray<int32_t> on_device(targets);
    CrossEntropyStatisticsCuda({}, logits.View(), VectorView(on_device),
                               vocab_begin, VectorView(max), VectorView(sum),
                               VectorView(target), VectorView(argmax));
    EXPECT_EQ(cudaDeviceSynchronize(), cudaSuccess);
  }
  DeviceArray<float> max, sum, target;
  DeviceArray<int32_t> argmax;
};

template <typename Element>
class CrossEntropyCuda : public ::testing::Test {};
using Elements = ::testing::Types<uint16_t, float>;
TYPED_TEST_SUITE(CrossEntropyCuda, Elements);

TYPED_TEST(CrossEntropyCuda, StatisticsMatchDouble) {
  for (int64_t v : Sizes()) {
    const int64_t rows = 4, begin = 1000;
    const DeviceMatrix<TypeParam> logits(rows, v, Uniform(v, -30, 30));
    // In this shard, before it, after it, and masked.
    const std::vector<int32_t> targets = {static_cast<int32_t>(begin + v - 1),
                                          999, static_cast<int32_t>(begin + v),
                                          -100};
    const Statistics out(logits, targets, begin);
    const std::vector<double> x = logits.Host();
    for (int64_t r = 0; r < rows; ++r) {
      double max, sum;
      int64_t best;
      CrossEntropyStatisticsReference<double>(&x[r * v], v, &max, &sum, &best);
      EXPECT_EQ(out.max.Host()[r], max);
      EXPECT_EQ(out.argmax.Host()[r], begin + best);
      ASSERT_NEAR(out.sum.Host()[r], sum, SumError(v) * sum) << "V " << v;
      EXPECT_EQ(out.target.Host()[r], r == 0 ? x[v - 1] : 0);
    }
  }
}

TYPED_TEST(CrossEntropyCuda, ArgmaxIsTheFirstOfEquals) {
  const int64_t v = 20000;
  DeviceMatrix<TypeParam> logits(1, v, Uniform(1));
  std::vector<double> x = logits.Host();
  for (int64_t at : {19999, 16000, 15999, 4100, 4099, 7, 6}) {
    x[at] = 7;
    logits.Set(x);
    EXPECT_EQ(Statistics(logits, {0}, 100).argmax.Host()[0], 100 + at);
  }
}

TYPED_TEST(CrossEntropyCuda, InfinitiesAndNaN) {
  for (int64_t v : {5, 3000, 20001}) {
    // Masked logits count for nothing, leading blocks of them included.
    DeviceMatrix<TypeParam> logits(1, v);
    std::vector<double> x(v, -HUGE_VAL);
    x[v - 1] = 3;
    logits.Set(x);
    const Statistics out(logits, {0}, 0);
    EXPECT_EQ(out.max.Host()[0], 3.0f);
    EXPECT_EQ(out.sum.Host()[0], 1.0f) << "V " << v;
    EXPECT_EQ(out.argmax.Host()[0], v - 1);
    for (double bad : {std::nan(""), HUGE_VAL}) {
      for (int64_t at : {int64_t{0}, v / 2, v - 1}) {
        DeviceMatrix<TypeParam> spoilt(1, v, Uniform(2));
        std::vector<double> y = spoilt.Host();
        y[at] = bad;
        spoilt.Set(y);
        EXPECT_TRUE(std::isnan(Statistics(spoilt, {0}, 0).sum.Host()[0]))
            << "V " << v << " at " << at;
      }
    }
  }
}

TYPED_TEST(CrossEntropyCuda, GradientMatchesDouble) {
  for (int64_t v : Sizes()) {
    const int64_t rows = 4, begin = 50;
    DeviceMatrix<TypeParam> logits(rows, v, Uniform(v, -10, 10));
    std::vector<double> before = logits.Host();
    before[2 * v] = std::nan("");  // masked below
    logits.Set(before);
    const std::vector<int32_t> target = {static_cast<int32_t>(begin + v / 2),
                                         49, 50, static_cast<int32_t>(begin)};
    const std::vector<float> lse = RandomVector(rows, Uniform(1, 10, 14));
    std::vector<float> weight = RandomVector(rows, Uniform(2, 0.1, 2));
    weight[2] = 0;
    const DeviceArray<int32_t> targets(target);
    const DeviceArray<float> lses(lse), weights(weight);
    CrossEntropyGradientCuda({}, logits.View(), VectorView(targets), begin,
                             VectorView(lses), VectorView(weights));
    const std::vector<double> got = logits.Host();
    for (int64_t r = 0; r < rows; ++r) {
      for (int64_t j = 0; j < v; ++j) {
        if (r == 2) {
          ASSERT_EQ(got[r * v + j], 0);
          continue;
        }
        const double w = weight[r];
        const double p = std::exp(before[r * v + j] - lse[r]);
        const double hit = target[r] == begin + j ? 1 : 0;
        ASSERT_NEAR(got[r * v + j], w * (p - hit),
                    kRoundingOf<TypeParam> * w * std::abs(p - hit) +
                        (2 * 24 + 8) * kUnitRoundoff * w * (p + hit))
            << "V " << v << " at " << r << "," << j;
      }
    }
    EXPECT_TRUE(logits.GapsIntact());
  }
}

// All of a step, on three rows: the second counts for nothing.
template <typename Element>
struct Step {
  // The second row is nothing but `fill`, or left as it is.
  explicit Step(int64_t columns, std::optional<double> fill) : V(columns) {
    const std::vector<int32_t> target = {1, 2, 0};
    const DeviceArray<int32_t> targets(target);
    const DeviceArray<float> weights(std::vector<float>{0.5f, 0, 2});
    DeviceMatrix<Element> logits(3, V, Uniform(7, -10, 10));
    if (fill.has_value()) {
      std::vector<double> x = logits.Host();
      std::fill(&x[V], &x[2 * V], *fill);
      logits.Set(x);
    }
    const Statistics s(logits, target, 0);
    const DeviceArray<float> lses(3), nlls(3);
    CrossEntropyLossCuda({}, VectorView(s.max), VectorView(s.sum),
                         VectorView(s.target), VectorView(lses),
                         VectorView(nlls));
    CrossEntropyGradientCuda({}, logits.View(), VectorView(targets), 0,
                             VectorView(lses), VectorView(weights));
    nll = nlls.Host();
    gradient = logits.Host();
  }
  std::vector<double> GradientOf(int64_t row) const {
    return {&gradient[row * V], &gradient[row * V] + V};
  }
  const int64_t V;
  std::vector<float> nll;
  std::vector<double> gradient;
};

TYPED_TEST(CrossEntropyCuda, ARowThatCountsForNothingMayHoldAnything) {
  for (const int64_t v : {5, 3000, 20001}) {
    const Step<TypeParam> sound(v, std::nullopt);
    for (const double fill : {std::nan(""), HUGE_VAL, -HUGE_VAL}) {
      SCOPED_TRACE(::testing::Message() << "V " << v << ", " << fill);
      const Step<TypeParam> step(v, fill);
      EXPECT_FALSE(std::isfinite(step.nll[1]));
      EXPECT_EQ(step.GradientOf(1), std::vector<double>(v));
      for (const int64_t row : {0, 2}) {
        EXPECT_TRUE(std::isfinite(step.nll[row]));
        EXPECT_EQ(step.nll[row], sound.nll[row]);
        EXPECT_EQ(step.GradientOf(row), sound.GradientOf(row));
      }
    }
  }
}

TYPED_TEST(CrossEntropyCuda, ShardsCombineToTheWholeAndSameBits) {
  const int64_t v = 300;
  const DeviceMatrix<TypeParam> logits(1, v, Uniform(3, -4, 4));
  const Statistics whole(logits, {211}, 0), again(logits, {211}, 0);
  EXPECT_EQ(whole.sum.Host(), again.sum.Host());
  const std::vector<double> x = logits.Host();
  const double max = whole.max.Host()[0];
  double sum = 0, target = 0;
  for (int64_t begin : {0, 100, 200}) {
    DeviceMatrix<TypeParam> shard(1, 100);
    shard.Set({&x[begin], &x[begin] + 100});
    const Statistics part(shard, {211}, begin);
    sum += part.sum.Host()[0] * std::exp(part.max.Host()[0] - max);
    target += part.target.Host()[0];
  }
  EXPECT_EQ(target, x[211]);
  EXPECT_NEAR(whole.sum.Host()[0], sum, 2 * SumError(v) * sum);
}

TEST(CrossEntropyRowsCuda, LossOfShards) {
  for (int64_t rows : {1, 255, 256, 257, 1000}) {
    const std::vector<float> own = RandomVector(rows, Uniform(1, -9, 9));
    const std::vector<float> other = RandomVector(rows, Uniform(2, -9, 9));
    const std::vector<float> sum = RandomVector(rows, Uniform(3, 1, 5000));
    const std::vector<float> target = RandomVector(rows, Uniform(4, -9, 9));
    std::vector<float> most(rows);
    for (int64_t r = 0; r < rows; ++r) most[r] = std::max(own[r], other[r]);
    const DeviceArray<float> owns(own), mosts(most), sums(sum), targets(target);
    const DeviceArray<float> lse(rows), nll(rows);
    CrossEntropyRescaleCuda({}, VectorView(owns), VectorView(mosts),
                            VectorView(sums));
    CrossEntropyLossCuda({}, VectorView(mosts), VectorView(sums),
                         VectorView(targets), VectorView(lse), VectorView(nll));
    for (int64_t r = 0; r < rows; ++r) {
      const double rescaled = sum[r] * std::exp(double{own[r]} - most[r]);
      // The difference of maxima is below 18 and rounded.
      EXPECT_NEAR(sums.Host()[r], rescaled,
                  (18 + 4) * kUnitRoundoff * rescaled);
      const double expected = most[r] + std::log(rescaled);
      const double error = (18 + 8 + 2 * 30) * kUnitRoundoff;
      EXPECT_NEAR(lse.Host()[r], expected, error);
      EXPECT_NEAR(nll.Host()[r], expected - target[r], error);
    }
  }
}

}  // namespace
}  // namespace caracal::kernels
