// Stacked bars from 0 to 100%; a legend above them names the parts.
#include "eval/report/chart_key_classes.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "eval/report/numbers.h"
#include "eval/report/scale.h"
#include "eval/report/svg.h"

namespace caracal {
namespace {

constexpr double kWidth = 480, kHeight = 176;
constexpr double kLeft = 66, kRight = kWidth - 16;
constexpr double kTop = 44, kBarHeight = 30, kGap = 14;
// A part narrower than this has no room for its number.
constexpr double kNumberWidth = 34;

constexpr struct {
  const char* name;
  const char* style;
  double KeyClasses::*share;
  double legend;  // x
} kClasses[] = {{"window", "window", &KeyClasses::window, kLeft},
                {"sink positions", "baseline", &KeyClasses::sinks, kLeft + 92},
                {"other past", "student", &KeyClasses::past, kLeft + 226}};

bool Measured(const KeyClasses& classes) {
  return std::isfinite(classes.window) && std::isfinite(classes.sinks) &&
         std::isfinite(classes.past);
}

void DrawBar(Svg& svg, const Scale& x, double top, const char* name,
             const KeyClasses& classes) {
  svg.Text(kLeft - 10, top + kBarHeight / 2 + 4, name, "label", Anchor::kEnd);
  double from = 0;
  for (const auto& c : kClasses) {
    const double share = std::clamp(classes.*c.share, 0.0, 1.0);
    const double left = x.At(from), right = x.At(std::min(from + share, 1.0));
    from += share;
    svg.Rect(left, top, std::max(0.0, right - left - 1), kBarHeight,
             absl::StrCat("bar ", c.style),
             absl::StrCat(name, ", ", c.name, ": ", Percent(share)));
    if (right - left < kNumberWidth) continue;
    svg.Text((left + right) / 2, top + kBarHeight / 2 + 4, Percent(share),
             absl::StrCat("on-", c.style), Anchor::kMiddle);
  }
}

}  // namespace

KeyClasses TeacherClasses(const AttributionResult& result) {
  return SplitByKey(GridMean(result.masses.teacher_out_mass),
                    GridMean(result.masses.teacher_sink_mass),
                    result.settings.sinks);
}

KeyClasses StudentClasses(const AttributionResult& result) {
  return SplitByKey(GridMean(result.masses.la_mass),
                    GridMean(result.masses.sink_mass), result.settings.sinks);
}

std::string KeyClassChart(const KeyClasses& teacher,
                          const KeyClasses& student) {
  if (!Measured(teacher) || !Measured(student)) return "";
  const auto words = [](const KeyClasses& c) {
    return absl::StrCat("window ", Percent(c.window), ", sink positions ",
                        Percent(c.sinks), ", other past ", Percent(c.past));
  };
  Svg svg(kWidth, kHeight,
          absl::StrCat("Attention mass by class of key. Teacher: ",
                       words(teacher), ". Student: ", words(student), "."));
  for (const auto& c : kClasses) {
    svg.Rect(c.legend, 6, 12, 12, absl::StrCat("bar ", c.style));
    svg.Text(c.legend + 18, 16, c.name, "tick");
  }
  const Scale x = Scale::Linear(0, 1, kLeft, kRight);
  DrawBar(svg, x, kTop, "teacher", teacher);
  DrawBar(svg, x, kTop + kBarHeight + kGap, "student", student);
  const double bottom = kTop + 2 * kBarHeight + kGap + 10;
  for (const double share : {0.0, 0.25, 0.5, 0.75, 1.0}) {
    svg.Line(x.At(share), bottom, x.At(share), bottom + 4, "axis");
    svg.Text(x.At(share), bottom + 19, Percent(share), "tick", Anchor::kMiddle);
  }
  svg.Line(kLeft, bottom, kRight, bottom, "axis");
  return std::move(svg).Finish();
}

}  // namespace caracal
