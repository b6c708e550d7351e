#include "jobs/train/row_order.h"

#include <gtest/gtest.h>

#include <set>

namespace caracal {
namespace {

TEST(RowOrder, FileOrderWrapsAround) {
  RowOrder order(5, /*shuffle=*/false, 1);
  for (int64_t i = 0; i < 12; ++i) EXPECT_EQ(order.RowOf(i), i % 5);
}

TEST(RowOrder, ShuffledEpochsAreDifferentPermutations) {
  RowOrder order(100, /*shuffle=*/true, 1);
  std::vector<int64_t> epochs[2];
  for (int64_t i = 0; i < 200; ++i) {
    epochs[i / 100].push_back(order.RowOf(i));
  }
  for (const auto& epoch : epochs) {
    EXPECT_EQ(std::set<int64_t>(epoch.begin(), epoch.end()).size(), 100u);
  }
  EXPECT_NE(epochs[0], epochs[1]);
}

// Resuming in the middle of an epoch asks for its rows out of order.
TEST(RowOrder, DependsOnSeedAndSampleOnly) {
  RowOrder forward(50, true, 9), backward(50, true, 9), other(50, true, 10);
  int same = 0;
  for (int64_t i = 149; i >= 0; --i) {
    EXPECT_EQ(backward.RowOf(i), RowOrder(50, true, 9).RowOf(i));
    same += forward.RowOf(i) == other.RowOf(i);
  }
  EXPECT_LT(same, 20);
}

}  // namespace
}  // namespace caracal
