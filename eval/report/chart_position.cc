// Two lines, labelled at their ends instead of by a legend.
#include "eval/report/chart_position.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/strings/str_cat.h"
#include "eval/report/numbers.h"
#include "eval/report/scale.h"
#include "eval/report/svg.h"

namespace caracal {
namespace {

constexpr double kWidth = 480, kHeight = 250;
constexpr double kLeft = 46, kRight = kWidth - 84;
constexpr double kTop = 30, kBottom = kHeight - 40;
constexpr double kLabelHeight = 15;

}  // namespace

std::string PositionChart(const std::vector<PositionMasses>& buckets) {
  std::vector<PositionMasses> known;
  double high = 0;
  for (const PositionMasses& b : buckets) {
    if (!std::isfinite(b.la_mass) || !std::isfinite(b.teacher_out_mass)) {
      continue;
    }
    known.push_back(b);
    high = std::max({high, b.la_mass, b.teacher_out_mass});
  }
  if (known.size() < 2) return "";
  const Scale x =
      Scale::Linear(static_cast<double>(known.front().begin),
                    static_cast<double>(known.back().end), kLeft, kRight);
  const Scale y = Scale::Linear(0, high > 0 ? 1.08 * high : 1, kBottom, kTop);
  const PositionMasses& last = known.back();
  Svg svg(
      kWidth, kHeight,
      absl::StrCat("Attention mass by position in the row. At tokens ",
                   last.begin, " to ", last.end, " the linear part carries ",
                   Fixed(last.la_mass, 3), ", the teacher has ",
                   Fixed(last.teacher_out_mass, 3), " outside the window."));
  DrawHorizontalGrid(svg, y, kLeft, kRight, 4);
  for (const Scale::Tick& tick : x.Ticks(6)) {
    const double at = x.At(tick.value);
    svg.Line(at, kBottom, at, kBottom + 4, "axis");
    svg.Text(at, kBottom + 18, tick.label, "tick", Anchor::kMiddle);
  }
  svg.Line(kLeft, kBottom, kRight, kBottom, "axis");
  svg.Text(0, 13, "attention mass", "axis-name");
  svg.Text(kRight, kHeight - 4, "position in the row", "axis-name",
           Anchor::kEnd);

  std::vector<std::pair<double, double>> la, teacher;
  for (const PositionMasses& b : known) {
    const double at = x.At(0.5 * static_cast<double>(b.begin + b.end));
    la.push_back({at, y.At(b.la_mass)});
    teacher.push_back({at, y.At(b.teacher_out_mass)});
    const std::string where =
        absl::StrCat("tokens ", b.begin, " to ", b.end, ": ");
    svg.Circle(at, teacher.back().second, 3.5, "dot teacher",
               absl::StrCat(where, "teacher ", Fixed(b.teacher_out_mass, 3)));
    svg.Circle(at, la.back().second, 3.5, "dot student",
               absl::StrCat(where, "linear part ", Fixed(b.la_mass, 3)));
  }
  svg.Polyline(teacher, "line teacher");
  svg.Polyline(la, "line");
  // Labels move apart where the lines end close together.
  double la_y = la.back().second, teacher_y = teacher.back().second;
  const double apart = kLabelHeight - std::abs(la_y - teacher_y);
  if (apart > 0) {
    const double push = la_y > teacher_y ? apart / 2 : -apart / 2;
    la_y += push;
    teacher_y -= push;
  }
  svg.Text(la.back().first + 12, la_y + 4, "linear part", "value strong");
  svg.Text(teacher.back().first + 12, teacher_y + 4, "teacher", "value");
  return std::move(svg).Finish();
}

}  // namespace caracal
