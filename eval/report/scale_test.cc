// Positions and ticks.
#include "eval/report/scale.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <vector>

namespace caracal {
namespace {

using ::testing::ElementsAre;

std::vector<std::string> Labels(const Scale& scale, int count) {
  std::vector<std::string> labels;
  for (const Scale::Tick& tick : scale.Ticks(count)) {
    labels.push_back(tick.label);
  }
  return labels;
}

TEST(ScaleTest, LinearMapsEndsAndMiddle) {
  const Scale scale = Scale::Linear(2, 6, 100, 0);
  EXPECT_EQ(scale.At(2), 100);
  EXPECT_EQ(scale.At(6), 0);
  EXPECT_EQ(scale.At(4), 50);
}

TEST(ScaleTest, LogMapsRatiosToDistances) {
  const Scale scale = Scale::Log(0.01, 1, 0, 200);
  EXPECT_NEAR(scale.At(0.1), 100, 1e-9);
  EXPECT_NEAR(scale.At(1), 200, 1e-9);
}

TEST(ScaleTest, RoundTicks) {
  EXPECT_THAT(Labels(Scale::Linear(0, 10.5, 0, 1), 5),
              ElementsAre("0", "2", "4", "6", "8", "10"));
  EXPECT_THAT(Labels(Scale::Linear(-0.012, 0.153, 0, 1), 4),
              ElementsAre("0.00", "0.05", "0.10", "0.15"));
  EXPECT_THAT(Labels(Scale::Linear(-0.3, 0.3, 0, 1), 4),
              ElementsAre("-0.2", "0.0", "0.2"));
  EXPECT_THAT(
      Labels(Scale::Linear(0, 25000, 0, 1), 5),
      ElementsAre("0", "5,000", "10,000", "15,000", "20,000", "25,000"));
}

TEST(ScaleTest, LogTicksFillFewDecadesAndThinOutMany) {
  EXPECT_THAT(Labels(Scale::Log(0.002, 0.06, 0, 1), 5),
              ElementsAre("0.002", "0.005", "0.01", "0.02", "0.05"));
  EXPECT_THAT(Labels(Scale::Log(0.5, 2000, 0, 1), 5),
              ElementsAre("1", "10", "100", "1000"));
  EXPECT_LE(Scale::Log(1e-12, 1, 0, 1).Ticks(5).size(), 6);
}

TEST(ScaleTest, ADomainWithoutWidthIsGivenOne) {
  for (const Scale& scale :
       {Scale::Linear(3, 3, 0, 100), Scale::Linear(0, 0, 0, 100),
        Scale::Log(3, 3, 0, 100)}) {
    EXPECT_LT(scale.low(), scale.high());
    EXPECT_TRUE(std::isfinite(scale.At(3)));
    EXPECT_FALSE(scale.Ticks(4).empty());
  }
}

TEST(ScaleTest, EveryTickIsInsideTheDomain) {
  for (double low = -7; low < 7; low += 0.37) {
    for (double width : {1e-6, 0.003, 0.7, 1.0, 33.0, 1e7}) {
      const Scale scale = Scale::Linear(low, low + width, 0, 100);
      const auto ticks = scale.Ticks(5);
      EXPECT_GE(ticks.size(), 2) << low << " " << width;
      EXPECT_LE(ticks.size(), 9) << low << " " << width;
      for (const Scale::Tick& tick : ticks) {
        EXPECT_GE(scale.At(tick.value), -1e-3);
        EXPECT_LE(scale.At(tick.value), 100 + 1e-3);
      }
    }
  }
}

}  // namespace
}  // namespace caracal
