#include "dist/gradients/bucket_plan.h"

#include <gtest/gtest.h>

namespace caracal {
namespace {

// Two runs: 3 x 4 elements in each of three layers, then 2 of one each.
std::vector<TrainedTensor> Tensors() {
  std::vector<TrainedTensor> tensors;
  for (int layer = 0; layer < 3; ++layer) {
    tensors.push_back(
        {.run = 0, .layer = layer, .size = 12, .row = 4, .whole = 24});
  }
  for (int layer = 0; layer < 3; ++layer) {
    tensors.push_back(
        {.run = 1, .layer = layer, .size = 2, .row = 1, .whole = 4});
  }
  return tensors;
}

TEST(BucketPlanTest, TakesLayersUntilABucketIsFull) {
  const std::vector<BucketPlan> plans = PlanBuckets(Tensors(), 1, 40);
  ASSERT_EQ(plans.size(), 2u);
  EXPECT_EQ(plans[0].last_layer, 1);
  EXPECT_EQ(plans[0].tensors, (std::vector<int>{0, 1, 3, 4}));
  EXPECT_EQ(plans[1].first_layer, 2);
  EXPECT_EQ(plans[1].tensors, (std::vector<int>{2, 5}));
  ASSERT_EQ(plans[1].ranges.size(), 2u);
  EXPECT_EQ(plans[1].ranges[0].begin, 24);
  EXPECT_EQ(plans[1].ranges[0].end, 36);
  EXPECT_EQ(plans[1].ranges[1].begin, 4);
  EXPECT_EQ(plans[1].ranges[1].counts, std::vector<int64_t>{2});
}

TEST(BucketPlanTest, SharesOutWholeRows) {
  const std::vector<BucketPlan> plans = PlanBuckets(Tensors(), 4, 1000);
  ASSERT_EQ(plans.size(), 1u);
  // Even shares of 36 begin at 9, 18 and 27: in the rows that begin at 8, 16
  // and 24.
  EXPECT_EQ(plans[0].ranges[0].counts, (std::vector<int64_t>{8, 8, 8, 12}));
  EXPECT_EQ(plans[0].ranges[1].counts, (std::vector<int64_t>{1, 2, 1, 2}));
}

TEST(BucketPlanTest, SomeRanksMayGetNothing) {
  const std::vector<TrainedTensor> one = {
      {.run = 0, .layer = 0, .size = 8, .row = 8, .whole = 8}};
  const std::vector<BucketPlan> plans = PlanBuckets(one, 3, 1);
  EXPECT_EQ(plans[0].ranges[0].counts, (std::vector<int64_t>{0, 0, 8}));
  EXPECT_TRUE(PlanBuckets({}, 3, 1).empty());
}

}  // namespace
}  // namespace caracal
