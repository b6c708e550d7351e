#include "core/base/philox.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>
#include <vector>

namespace caracal {
namespace {

using Block = std::array<uint32_t, 4>;
using Key = std::array<uint32_t, 2>;

// The known-answer vectors published with the algorithm.
TEST(Philox4x32Test, KnownAnswers) {
  EXPECT_EQ(Philox4x32({0, 0, 0, 0}, {0, 0}),
            (Block{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  constexpr uint32_t kOnes = 0xffffffff;
  EXPECT_EQ(Philox4x32({kOnes, kOnes, kOnes, kOnes}, {kOnes, kOnes}),
            (Block{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  EXPECT_EQ(Philox4x32({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
                       {0xa4093822, 0x299f31d0}),
            (Block{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

// The layout is a promise: saved seeds mean the same for ever.
TEST(RandomStreamTest, CounterLayoutIsTheDocumentedOne) {
  const RandomStream stream({.seed = 0x1122334455667788,
                             .purpose = RandomPurpose::kComponentDropout,
                             .step = 0xabcdef01,
                             .sample = 0x12345678,
                             .layer = 0x9abcde});
  const Block block = Philox4x32({5, 0x029abcde, 0x12345678, 0xabcdef01},
                                 {0x55667788, 0x11223344});
  for (int i = 0; i < 4; ++i) EXPECT_EQ(stream.Bits(20 + i), block[i]);
  EXPECT_EQ(stream.Uniform(21),
            static_cast<float>(block[1] >> 8) / 16777216.0f);
}

TEST(RandomStreamTest, FreeFunctionIsTheStream) {
  const RandomStream stream({.seed = 7,
                             .purpose = RandomPurpose::kTest,
                             .step = 1,
                             .sample = 2,
                             .layer = 3});
  EXPECT_EQ(Uniform(7, RandomPurpose::kTest, 1, 2, 3, 4), stream.Uniform(4));
}

TEST(RandomStreamTest, EveryPartOfTheKeyMatters) {
  const RandomKey base = {.seed = 1,
                          .purpose = RandomPurpose::kTest,
                          .step = 1,
                          .sample = 1,
                          .layer = 1};
  std::set<uint32_t> seen = {RandomStream(base).Bits(0)};
  RandomKey key = base;
  key.seed = 2;
  seen.insert(RandomStream(key).Bits(0));
  key.seed = uint64_t{1} << 40 | 1;
  seen.insert(RandomStream(key).Bits(0));
  key = base;
  key.purpose = RandomPurpose::kRowOrder;
  seen.insert(RandomStream(key).Bits(0));
  key = base;
  key.step = 2;
  seen.insert(RandomStream(key).Bits(0));
  key = base;
  key.sample = 2;
  seen.insert(RandomStream(key).Bits(0));
  key = base;
  key.layer = 2;
  seen.insert(RandomStream(key).Bits(0));
  seen.insert(RandomStream(base).Bits(1));
  seen.insert(RandomStream(base).Bits(4));
  EXPECT_EQ(seen.size(), 9);
}

TEST(RandomStreamDeathTest, KeysThatDontFitAreBugs) {
  EXPECT_DEATH(RandomStream({.layer = uint64_t{1} << 24}), "layer");
  EXPECT_DEATH(RandomStream({.sample = uint64_t{1} << 32}), "sample");
  EXPECT_DEATH(RandomStream({.step = uint64_t{1} << 32}), "step");
  EXPECT_DEATH(RandomStream({}).Bits(uint64_t{1} << 34), "index");
}

// Means of n numbers lie within five standard errors: fixed seed, so this
// passes always or never.
TEST(RandomStreamTest, UniformHasTheRightMoments) {
  constexpr int kCount = 100000;
  const RandomStream stream({.seed = 3});
  double sum = 0;
  double sum_squares = 0;
  for (int i = 0; i < kCount; ++i) {
    const double u = stream.Uniform(i);
    ASSERT_GE(u, 0);
    ASSERT_LT(u, 1);
    sum += u;
    sum_squares += u * u;
  }
  EXPECT_NEAR(sum / kCount, 0.5, 5 * std::sqrt(1.0 / 12 / kCount));
  EXPECT_NEAR(sum_squares / kCount, 1.0 / 3, 5 * std::sqrt(4.0 / 45 / kCount));
}

TEST(RandomStreamTest, NormalHasTheRightMoments) {
  constexpr int kCount = 100000;
  const RandomStream stream({.seed = 4});
  double moments[5] = {};
  double neighbours = 0;
  for (int i = 0; i < kCount; ++i) {
    const double z = stream.Normal(i);
    for (int p = 1; p <= 4; ++p) moments[p] += std::pow(z, p) / kCount;
    neighbours += z * stream.Normal(i ^ 1) / kCount;
  }
  const double error = 5 / std::sqrt(kCount);
  EXPECT_NEAR(moments[1], 0, error);
  EXPECT_NEAR(moments[2], 1, error * std::sqrt(2));
  EXPECT_NEAR(moments[3], 0, error * std::sqrt(15));
  EXPECT_NEAR(moments[4], 3, error * std::sqrt(96));
  EXPECT_NEAR(neighbours, 0, error * std::sqrt(2));
}

// Against the mathematical library, which is not used inside.
TEST(RandomStreamTest, NormalIsBoxMuller) {
  const RandomStream stream({.seed = 5});
  for (int pair = 0; pair < 1000; ++pair) {
    const double u = (stream.Bits(2 * pair) + 1.0) / 4294967296.0;
    const double turn = stream.Bits(2 * pair + 1) / 4294967296.0;
    const double radius = std::sqrt(-2 * std::log(u));
    const auto [x, y] = stream.NormalPair(pair);
    // Half a unit in the last place of a float, and a little for doubles.
    const double tolerance = radius * (0x1p-24 + 1e-14);
    ASSERT_NEAR(x, radius * std::cos(2 * M_PI * turn), tolerance) << pair;
    ASSERT_NEAR(y, radius * std::sin(2 * M_PI * turn), tolerance) << pair;
    ASSERT_EQ(stream.Normal(2 * pair), x);
    ASSERT_EQ(stream.Normal(2 * pair + 1), y);
  }
}

TEST(ShuffledOrderTest, IsAPermutationKeyedBySeedAndEpoch) {
  std::vector<uint64_t> a(1000);
  std::vector<uint64_t> b(1000);
  ShuffledOrder(1, 0, absl::MakeSpan(a));
  ShuffledOrder(1, 0, absl::MakeSpan(b));
  EXPECT_EQ(a, b);
  ShuffledOrder(1, 1, absl::MakeSpan(b));
  EXPECT_NE(a, b);
  ShuffledOrder(2, 0, absl::MakeSpan(b));
  EXPECT_NE(a, b);
  std::sort(b.begin(), b.end());
  for (uint64_t i = 0; i < b.size(); ++i) EXPECT_EQ(b[i], i);
}

TEST(ShuffledOrderTest, TrivialSizes) {
  ShuffledOrder(1, 0, {});
  std::vector<uint64_t> one = {9};
  ShuffledOrder(1, 0, absl::MakeSpan(one));
  EXPECT_EQ(one[0], 0);
}

// All 24 orders of four rows, each within five standard deviations.
TEST(ShuffledOrderTest, EveryOrderIsEquallyLikely) {
  constexpr int kEpochs = 24000;
  std::map<std::vector<uint64_t>, int> counts;
  std::vector<uint64_t> order(4);
  for (int epoch = 0; epoch < kEpochs; ++epoch) {
    ShuffledOrder(11, epoch, absl::MakeSpan(order));
    ++counts[order];
  }
  EXPECT_EQ(counts.size(), 24);
  for (const auto& [permutation, count] : counts) {
    EXPECT_NEAR(count, kEpochs / 24, 5 * std::sqrt(kEpochs / 24.0));
  }
}

}  // namespace
}  // namespace caracal
