#include "eval/measure/plan_cut.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/base/status_matchers.h"

namespace caracal {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

// 1,000 rows, each of two passes to be run over all of them.
proto::MeasurementPlan Plan(int64_t micro_batch) {
  proto::MeasurementPlan plan;
  plan.set_rows(1000);
  plan.set_seq_len(8);
  plan.set_micro_batch(micro_batch);
  plan.set_classes(1);
  plan.add_passes()->add_same_as(0);
  plan.add_passes()->add_same_as(1);
  return plan;
}

TEST(CutPlanWithin, IsAnEighthWhereNobodySays) {
  ASSERT_OK_AND_ASSIGN(const auto shards, CutPlanWithin(Plan(1), 0, 100));
  ASSERT_EQ(shards.size(), 16);
  EXPECT_EQ(shards[0].end(), 125);
  EXPECT_EQ(shards[15].pass(), 1);
}

TEST(CutPlanWithin, TakesMoreRowsRatherThanTooManyParts) {
  ASSERT_OK_AND_ASSIGN(const auto shards, CutPlanWithin(Plan(1), 0, 7));
  ASSERT_EQ(shards.size(), 6);
  EXPECT_EQ(shards[0].end(), 334);
}

TEST(CutPlanWithin, NamesTheSmallestThatWorks) {
  EXPECT_THAT(CutPlanWithin(Plan(1), 1, 100).status(),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       AllOf(HasSubstr("--part-rows 1 makes 2000 parts"),
                             HasSubstr("at most 100"),
                             HasSubstr("smallest that works is 20"))));
  ASSERT_OK_AND_ASSIGN(const auto shards, CutPlanWithin(Plan(1), 20, 100));
  EXPECT_EQ(shards.size(), 100);
  EXPECT_FALSE(CutPlanWithin(Plan(1), 19, 100).ok());
  // Parts are whole micro-batches.
  EXPECT_THAT(CutPlanWithin(Plan(8), 1, 100).status(),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("smallest that works is 17")));
  ASSERT_OK_AND_ASSIGN(const auto whole, CutPlanWithin(Plan(8), 17, 100));
  EXPECT_EQ(whole[0].end(), 24);
}

TEST(CutPlanWithin, SaysWhenNoneWorks) {
  for (const int64_t rows : {0, 1, 5000}) {
    EXPECT_THAT(CutPlanWithin(Plan(1), rows, 1).status(),
                StatusIs(absl::StatusCode::kInvalidArgument,
                         HasSubstr("whatever --part-rows is")));
  }
}

TEST(CutPlanWithin, NothingIsNoParts) {
  ASSERT_OK_AND_ASSIGN(const auto shards,
                       CutPlanWithin(proto::MeasurementPlan(), 0, 1));
  EXPECT_TRUE(shards.empty());
}

}  // namespace
}  // namespace caracal
