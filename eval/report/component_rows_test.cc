// Order, joining, and when shares are given.
#include "eval/report/component_rows.h"

#include <gtest/gtest.h>

#include <cmath>

namespace caracal {
namespace {

AttributionResult Sample() {
  AttributionResult result;
  result.drop = {{"la", {0.1, 0.05, 0.15}}, {"swa", {4, 3, 5}}};
  result.shapley = {{"swa", {6, 5, 7}}, {"la", {2, 1, 3}}};
  result.what_attention_brings = {8, 7, 9};
  return result;
}

TEST(ComponentRowsTest, JoinsDropsAndValuesInOneOrder) {
  const auto rows = ComponentRows(Sample());
  ASSERT_EQ(rows.size(), 3);
  EXPECT_EQ(rows[0].name, "window");
  EXPECT_EQ(rows[0].drop.mean, 4);
  EXPECT_EQ(rows[0].shapley.mean, 6);
  EXPECT_EQ(rows[0].share, 0.75);
  EXPECT_EQ(rows[1].name, "linear part");
  EXPECT_EQ(rows[1].share, 0.25);
  EXPECT_EQ(rows[2].name, "all of attention");
  EXPECT_FALSE(rows[2].drop.measured());
  EXPECT_EQ(rows[2].shapley.mean, 8);
}

TEST(ComponentRowsTest, NoSharesOfWhatMayBeNothing) {
  AttributionResult result = Sample();
  result.what_attention_brings = {8, -1, 17};
  for (const ComponentRow& row : ComponentRows(result)) {
    EXPECT_TRUE(std::isnan(row.share)) << row.name;
  }
}

TEST(ComponentRowsTest, DropsAloneHaveNoSum) {
  AttributionResult result = Sample();
  result.shapley.clear();
  EXPECT_EQ(ComponentRows(result).size(), 2);
  result.drop = {{"new", {1, 0, 2}}};
  const auto rows = ComponentRows(result);
  ASSERT_EQ(rows.size(), 1);
  EXPECT_EQ(rows[0].name, "new");
}

}  // namespace
}  // namespace caracal
