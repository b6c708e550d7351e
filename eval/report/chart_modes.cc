// Both charts share their row layout, so that they read across a page.
#include "eval/report/chart_modes.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <utility>

#include "absl/strings/str_cat.h"
#include "eval/report/numbers.h"
#include "eval/report/scale.h"
#include "eval/report/svg.h"

namespace caracal {
namespace {

constexpr double kWidth = 480;
constexpr double kLeft = 128, kRight = kWidth - 72;
constexpr double kTop = 30, kRowHeight = 27, kGroupGap = 10, kFooter = 42;
constexpr double kBarHeight = 15;

const char* ClassOf(ModeKind kind) {
  switch (kind) {
    case ModeKind::kTeacher:
      return "teacher";
    case ModeKind::kStudent:
      return "student";
    case ModeKind::kComponent:
      return "component";
    case ModeKind::kBaseline:
      break;
  }
  return "baseline";
}

// The middle of each row, with a gap between groups, and where the plot ends.
struct Layout {
  std::vector<double> middle;
  double bottom;
};

Layout LayOut(const std::vector<ModeRow>& rows) {
  Layout layout;
  double top = kTop;
  for (size_t i = 0; i < rows.size(); ++i) {
    if (i > 0 && StartsGroup(rows, i)) top += kGroupGap;
    layout.middle.push_back(top + kRowHeight / 2);
    top += kRowHeight;
  }
  layout.bottom = top + 4;
  return layout;
}

void DrawLabel(Svg& svg, double middle, const ModeRow& row) {
  svg.Text(kLeft - 10, middle + 4, row.label,
           row.finished ? "label strong" : "label", Anchor::kEnd);
}

void DrawWhisker(Svg& svg, double from, double to, double middle) {
  svg.Line(from, middle, to, middle, "whisker");
  svg.Line(from, middle - 4, from, middle + 4, "whisker");
  svg.Line(to, middle - 4, to, middle + 4, "whisker");
}

std::string Tooltip(const ModeRow& row) {
  std::string text = absl::StrCat(row.label, ": ", Fixed(row.result->loss, 3));
  if (row.result->interval.bounded()) {
    absl::StrAppend(&text, " ", Range(row.result->interval, 3));
  }
  if (!row.meaning.empty()) absl::StrAppend(&text, ", ", row.meaning);
  return text;
}

std::vector<ModeRow> WithFinite(const std::vector<ModeRow>& rows,
                                bool difference) {
  std::vector<ModeRow> kept;
  for (const ModeRow& row : rows) {
    const bool teacher = row.kind == ModeKind::kTeacher;
    if (difference ? !teacher && row.to_teacher.measured()
                   : std::isfinite(row.result->loss)) {
      kept.push_back(row);
    }
  }
  return kept;
}

// The differences to be told apart: the student with and without its linear
// part, and the best baseline. Others may run off the scale.
double UsefulHigh(const std::vector<ModeRow>& rows) {
  double high = 0, best_baseline = HUGE_VAL, highest = 0;
  const auto end = [](const ModeRow& row) {
    return row.to_teacher.bounded() ? row.to_teacher.high : row.to_teacher.mean;
  };
  for (const ModeRow& row : rows) {
    highest = std::max(highest, end(row));
    if (row.kind == ModeKind::kBaseline) {
      best_baseline = std::min(best_baseline, end(row));
    } else if (row.kind == ModeKind::kStudent ||
               row.result->mode == "swa_only") {
      high = std::max(high, end(row));
    }
  }
  if (std::isfinite(best_baseline)) high = std::max(high, best_baseline);
  return high > 0 ? high : std::max(highest, 0.01);
}

}  // namespace

std::string ModeLossChart(const std::vector<ModeRow>& all) {
  const std::vector<ModeRow> rows = WithFinite(all, /*difference=*/false);
  if (rows.empty()) return "";
  const Layout layout = LayOut(rows);
  double high = 0;
  std::string description = "Loss by mode, in nats per token:";
  for (const ModeRow& row : rows) {
    high = std::max(
        {high, row.result->loss,
         row.result->interval.bounded() ? row.result->interval.high : 0.0});
    absl::StrAppend(&description, " ", row.label, " ",
                    Fixed(row.result->loss, 3), ";");
  }
  const Scale x = Scale::Linear(0, high > 0 ? high * 1.02 : 1, kLeft, kRight);
  Svg svg(kWidth, layout.bottom + kFooter, description);
  DrawVerticalGrid(svg, x, kTop, layout.bottom, 5);
  svg.Text(kRight, layout.bottom + kFooter - 4, "nats per token", "axis-name",
           Anchor::kEnd);
  for (size_t i = 0; i < rows.size(); ++i) {
    const ModeRow& row = rows[i];
    const double middle = layout.middle[i];
    DrawLabel(svg, middle, row);
    svg.Rect(kLeft, middle - kBarHeight / 2,
             std::max(0.0, x.At(row.result->loss) - kLeft), kBarHeight,
             absl::StrCat("bar ", ClassOf(row.kind)), Tooltip(row));
    double end = x.At(row.result->loss);
    if (row.result->interval.bounded()) {
      end = std::max(end, x.At(row.result->interval.high));
      DrawWhisker(svg, x.At(row.result->interval.low),
                  x.At(row.result->interval.high), middle);
    }
    svg.Text(end + 8, middle + 4, Fixed(row.result->loss, 3),
             row.finished ? "value strong" : "value");
  }
  svg.Line(kLeft, kTop - 2, kLeft, layout.bottom, "axis");
  if (rows[0].kind == ModeKind::kTeacher) {
    const double at = x.At(rows[0].result->loss);
    svg.Line(at, kTop - 8, at, layout.bottom, "reference");
    svg.Text(at, kTop - 14, "teacher", "tick", Anchor::kMiddle);
  }
  return std::move(svg).Finish();
}

std::string ModeDifferenceChart(const std::vector<ModeRow>& all) {
  const std::vector<ModeRow> rows = WithFinite(all, /*difference=*/true);
  if (rows.empty()) return "";
  const Layout layout = LayOut(rows);
  const double high = 1.3 * UsefulHigh(rows);
  double low = -0.08 * high;
  std::string description =
      "Loss minus the teacher's, in nats per token, paired over rows:";
  for (const ModeRow& row : rows) {
    low = std::min({low, 1.1 * row.to_teacher.mean,
                    row.to_teacher.bounded() ? 1.1 * row.to_teacher.low : 0.0});
    absl::StrAppend(&description, " ", row.label, " ",
                    Signed(row.to_teacher.mean, 3), ";");
  }
  const Scale x = Scale::Linear(low, high, kLeft, kRight);
  Svg svg(kWidth, layout.bottom + kFooter, description);
  DrawVerticalGrid(svg, x, kTop, layout.bottom, 4);
  svg.Text(kRight, layout.bottom + kFooter - 4,
           "nats per token above the teacher", "axis-name", Anchor::kEnd);
  svg.Line(x.At(0), kTop - 8, x.At(0), layout.bottom, "reference");
  svg.Text(x.At(0), kTop - 14, "teacher", "tick", Anchor::kMiddle);
  for (size_t i = 0; i < rows.size(); ++i) {
    const ModeRow& row = rows[i];
    const Interval& d = row.to_teacher;
    const double middle = layout.middle[i];
    const std::string number = Signed(d.mean, 3);
    const char* strong = row.finished ? "value strong" : "value";
    DrawLabel(svg, middle, row);
    if (d.mean > high) {
      svg.Text(kRight + 8, middle + 4, absl::StrCat(number, " \u2192"), strong);
      continue;
    }
    double end = x.At(d.mean);
    if (d.bounded()) {
      end = std::min(x.At(d.high), kRight);
      DrawWhisker(svg, x.At(d.low), end, middle);
    }
    svg.Circle(x.At(d.mean), middle, 5, absl::StrCat("dot ", ClassOf(row.kind)),
               absl::StrCat(row.label, ": ", number, " ", SignedRange(d, 3)));
    svg.Text(end + 10, middle + 4, number, strong);
  }
  return std::move(svg).Finish();
}

}  // namespace caracal
