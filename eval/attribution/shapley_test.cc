// Values by hand, the axioms, and what must not be given.
#include "eval/attribution/shapley.h"

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <random>
#include <vector>

#include "eval/attribution/result_intervals.h"

namespace caracal {
namespace {

using Subsets = std::array<ModeResult, kSubsets>;

// loss[s][row] of each subset.
Subsets Losses(double (*loss)(int subset, int row), int rows) {
  Subsets subsets;
  for (int s = 0; s < kSubsets; ++s) {
    double sum = 0;
    for (int r = 0; r < rows; ++r) {
      subsets[s].per_row.push_back(loss(s, r));
      sum += subsets[s].per_row.back();
    }
    subsets[s].loss = sum / rows;
  }
  return subsets;
}

std::array<const ModeResult*, kSubsets> Pointers(const Subsets& subsets) {
  std::array<const ModeResult*, kSubsets> pointers;
  for (int s = 0; s < kSubsets; ++s) pointers[s] = &subsets[s];
  return pointers;
}

// The glove game: the window is worth 1 only together with LA or sinks.
TEST(ShapleyTest, KnownGame) {
  const Subsets subsets = Losses(
      [](int s, int) {
        return (s & kSwaPlayer) != 0 && s != kSwaPlayer ? 2.0 : 3.0;
      },
      4);
  const auto values = ShapleyValues(Pointers(subsets), true);
  ASSERT_EQ(values.size(), 3);
  EXPECT_EQ(values[0].component, "swa");
  EXPECT_NEAR(values[0].value.mean, 4.0 / 6, 1e-15);
  EXPECT_EQ(values[1].component, "la");
  EXPECT_NEAR(values[1].value.mean, 1.0 / 6, 1e-15);
  EXPECT_EQ(values[2].component, "sinks");
  EXPECT_NEAR(values[2].value.mean, 1.0 / 6, 1e-15);
}

TEST(ShapleyTest, WithoutInteractionEachGetsItsOwn) {
  const Subsets subsets = Losses(
      [](int s, int row) {
        return 10 + row - 4.0 * (s & kSwaPlayer) / kSwaPlayer -
               0.25 * (s & kLaPlayer) / kLaPlayer +
               0.5 * (s & kSinksPlayer) / kSinksPlayer;
      },
      3);
  const auto values = ShapleyValues(Pointers(subsets), true);
  ASSERT_EQ(values.size(), 3);
  EXPECT_NEAR(values[0].value.mean, 4, 1e-12);
  EXPECT_NEAR(values[1].value.mean, 0.25, 1e-12);
  EXPECT_NEAR(values[2].value.mean, -0.5, 1e-12);
  // The same in every row: no width, however different the rows are.
  EXPECT_NEAR(values[1].value.high - values[1].value.low, 0, 1e-12);
}

TEST(ShapleyTest, SumsToHybridMinusNoneInMeanWhateverTheWeights) {
  static std::mt19937_64 generator(5);
  Subsets subsets = Losses(
      [](int, int) {
        return 2 + static_cast<double>(generator() >> 11) * 0x1p-50;
      },
      7);
  for (ModeResult& mode : subsets) mode.row_tokens = {1, 5, 2, 9, 9, 3, 4};
  const auto values = ShapleyValues(Pointers(subsets), true);
  const Interval all = LossDifference(&subsets[0], &subsets[kSubsets - 1]);
  double sum = 0;
  for (const ComponentValue& v : values) {
    sum += v.value.mean;
    EXPECT_LT(v.value.low, v.value.mean);
    EXPECT_GT(v.value.high, v.value.mean);
  }
  EXPECT_NEAR(sum, all.mean, 4e-15 * std::abs(all.mean));
}

TEST(ShapleyTest, SinksThatAreNotThereAreLeftOut) {
  const Subsets subsets = Losses(
      [](int s, int) {
        return 5 - 3.0 * (s & kSwaPlayer) / kSwaPlayer -
               ((s & kLaPlayer) != 0 ? 1.0 : 0.0);
      },
      2);
  const auto values = ShapleyValues(Pointers(subsets), false);
  ASSERT_EQ(values.size(), 2);
  EXPECT_NEAR(values[0].value.mean + values[1].value.mean, 4, 1e-12);
}

TEST(ShapleyTest, NothingWithoutAllSubsetsOverTheSameRows) {
  Subsets subsets = Losses([](int s, int) { return 8.0 - s; }, 3);
  auto pointers = Pointers(subsets);
  pointers[3] = nullptr;
  EXPECT_TRUE(ShapleyValues(pointers, true).empty());
  subsets[3].per_row.pop_back();
  EXPECT_TRUE(ShapleyValues(Pointers(subsets), true).empty());
  subsets[3] = subsets[2];
  subsets[3].row_tokens = {1, 2, 3};
  EXPECT_TRUE(ShapleyValues(Pointers(subsets), true).empty());
}

}  // namespace
}  // namespace caracal
