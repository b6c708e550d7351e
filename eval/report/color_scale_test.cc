// Ends, order and style classes of the colour scales.
#include "eval/report/color_scale.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace caracal {
namespace {

using ::testing::HasSubstr;

// Relative luminance of "#rrggbb", near enough for an order.
double Lightness(const std::string& color) {
  const auto part = [&](size_t at) {
    return static_cast<double>(std::stoi(color.substr(at, 2), nullptr, 16));
  };
  return 0.21 * part(1) + 0.72 * part(3) + 0.07 * part(5);
}

TEST(SequentialColorTest, GetsLighterAllTheWay) {
  EXPECT_EQ(SequentialColor(0), "#440154");
  EXPECT_EQ(SequentialColor(1), "#fde725");
  EXPECT_EQ(SequentialColor(-3), "#440154");
  EXPECT_EQ(SequentialColor(3), "#fde725");
  for (int i = 1; i <= 100; ++i) {
    EXPECT_GT(Lightness(SequentialColor(i / 100.0)),
              Lightness(SequentialColor((i - 1) / 100.0)));
  }
}

TEST(DivergingTest, ClassesAreSymmetricAndClamped) {
  EXPECT_EQ(DivergingClass(0), "d0");
  EXPECT_EQ(DivergingClass(1), "d16");
  EXPECT_EQ(DivergingClass(-2), "d-16");
  EXPECT_EQ(DivergingClass(0.5), "d8");
  EXPECT_EQ(DivergingClass(-0.5), "d-8");
}

TEST(DivergingTest, EveryClassHasAColorInBothThemes) {
  for (bool dark : {false, true}) {
    const std::string css = DivergingCss(dark);
    for (int i = -16; i <= 16; ++i) {
      EXPECT_THAT(css, HasSubstr(".d" + std::to_string(i) + "{fill:#"));
    }
  }
  EXPECT_NE(DivergingCss(true), DivergingCss(false));
}

}  // namespace
}  // namespace caracal
