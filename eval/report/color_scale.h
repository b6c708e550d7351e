// Colours for values, fit for colour-blind readers and for both page themes.
#ifndef CARACAL_EVAL_REPORT_COLOR_SCALE_H_
#define CARACAL_EVAL_REPORT_COLOR_SCALE_H_

#include <string>

namespace caracal {

// "#440154" at 0 to "#fde725" at 1, even steps in lightness between (viridis);
// clamped.
std::string SequentialColor(double share);

// A diverging scale has kDivergingSteps colours to either side of a neutral
// middle: orange for negative, blue for positive. They are style classes, as
// the middle has to be light on a light page and dark on a dark one.
inline constexpr int kDivergingSteps = 16;

// The class of a value in [-1, 1], clamped: "d-16" .. "d0" .. "d16".
std::string DivergingClass(double share);

// ".d-16{fill:#...}..." of one theme.
std::string DivergingCss(bool dark);

}  // namespace caracal

#endif  // CARACAL_EVAL_REPORT_COLOR_SCALE_H_
