#include "eval/report/spark_line.h"

#include <gtest/gtest.h>

#include <cmath>

namespace caracal {
namespace {

TEST(SparkLine, ValuesStandOnTheScale) {
  EXPECT_EQ(SparkLine({0, 0.5, 1, 7, -7, std::nan(""), 1}, 0, 1), "▁▅██▁ █");
  EXPECT_EQ(SparkLine({2, 4}, 2, 4, false), "_#");
  // No scale: all alike.
  EXPECT_EQ(SparkLine({3, 3}, 3, 3), "▁▁");
  EXPECT_EQ(SparkLine({}, 0, 1), "");
}

}  // namespace
}  // namespace caracal
