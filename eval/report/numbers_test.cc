// Formats at their edges: rounding, signs, units.
#include "eval/report/numbers.h"

#include <gtest/gtest.h>

#include <cmath>

namespace caracal {
namespace {

TEST(NumbersTest, FixedHasNoNegativeZero) {
  EXPECT_EQ(Fixed(3.92449, 3), "3.924");
  EXPECT_EQ(Fixed(-0.0004, 3), "0.000");
  EXPECT_EQ(Fixed(-0.0006, 3), "-0.001");
  EXPECT_EQ(Fixed(std::nan(""), 3), "n/a");
  EXPECT_EQ(Fixed(HUGE_VAL, 3), "n/a");
}

TEST(NumbersTest, SignedMarksBothSigns) {
  EXPECT_EQ(Signed(0.059, 3), "+0.059");
  EXPECT_EQ(Signed(-0.059, 3), "-0.059");
  EXPECT_EQ(Signed(0.0001, 3), "0.000");
  EXPECT_EQ(Signed(std::nan(""), 3), "n/a");
}

TEST(NumbersTest, PercentKeepsTwoDigits) {
  EXPECT_EQ(Percent(0.875), "88%");
  EXPECT_EQ(Percent(0.0221), "2.2%");
  EXPECT_EQ(Percent(0.0996), "10%");
  EXPECT_EQ(Percent(0), "0%");
  EXPECT_EQ(Percent(std::nan("")), "n/a");
}

TEST(NumbersTest, CountGroupsByThousands) {
  EXPECT_EQ(Count(0), "0");
  EXPECT_EQ(Count(999), "999");
  EXPECT_EQ(Count(1000), "1,000");
  EXPECT_EQ(Count(-1234567), "-1,234,567");
}

TEST(NumbersTest, BytesInBinaryUnits) {
  EXPECT_EQ(Bytes(512), "512 B");
  EXPECT_EQ(Bytes(1536), "1.5 KiB");
  EXPECT_EQ(Bytes(1024 * 1024 - 1), "1.0 MiB");
  EXPECT_EQ(Bytes(200ull << 20), "200 MiB");
  EXPECT_EQ(Bytes(2026892288), "1.9 GiB");
}

TEST(NumbersTest, DurationNeverShowsSixtySeconds) {
  EXPECT_EQ(Duration(0.85), "850 ms");
  EXPECT_EQ(Duration(4.21), "4.2 s");
  EXPECT_EQ(Duration(59.97), "1 min 00 s");
  EXPECT_EQ(Duration(185), "3 min 05 s");
  EXPECT_EQ(Duration(3599.6), "1 h 00 min");
  EXPECT_EQ(Duration(7620), "2 h 07 min");
}

TEST(NumbersTest, DecimalsFollowTheWidthOfTheInterval) {
  EXPECT_EQ(DecimalsFor({1.2, 1.17, 1.23}), 3);
  EXPECT_EQ(DecimalsFor({0.027, 0.021, 0.033}), 3);
  EXPECT_EQ(DecimalsFor({0.0020, 0.0012, 0.0028}), 4);
  EXPECT_EQ(DecimalsFor({1, 1, 1}), 3);
  EXPECT_EQ(DecimalsFor({}), 3);
  EXPECT_EQ(DecimalsFor({0, -1e-12, 1e-12}), 6);
}

TEST(NumbersTest, RangesOfWhatWasNotMeasured) {
  EXPECT_EQ(Range({1, 0.5, 1.5}, 2), "[0.50, 1.50]");
  EXPECT_EQ(SignedRange({0, -0.5, 0.5}, 1), "[-0.5, +0.5]");
  EXPECT_EQ(Range({}, 2), "n/a");
  EXPECT_EQ(SignedRange({}, 2), "n/a");
}

}  // namespace
}  // namespace caracal
