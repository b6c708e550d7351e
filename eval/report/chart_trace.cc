// One pair of axes, lines, then labels pushed apart where lines end close
// together.
#include "eval/report/chart_trace.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "absl/strings/str_cat.h"
#include "eval/report/numbers.h"
#include "eval/report/scale.h"
#include "eval/report/svg.h"

namespace caracal {
namespace {

constexpr double kWidth = 480, kHeight = 250;
constexpr double kLeft = 50, kRight = kWidth - 108;
constexpr double kTop = 30, kBottom = kHeight - 40;
constexpr double kLabelHeight = 16;
constexpr size_t kMaxPoints = 1000, kMaxTooltips = 60;

using Points = std::vector<std::pair<double, double>>;

Points Finite(const Points& points) {
  Points finite;
  for (const auto& point : points) {
    if (std::isfinite(point.first) && std::isfinite(point.second)) {
      finite.push_back(point);
    }
  }
  const size_t group = (finite.size() + kMaxPoints - 1) / kMaxPoints;
  if (group <= 1) return finite;
  Points means;
  for (size_t i = 0; i < finite.size(); i += group) {
    const size_t end = std::min(i + group, finite.size());
    double step = 0, value = 0;
    for (size_t k = i; k < end; ++k) {
      step += finite[k].first;
      value += finite[k].second;
    }
    const double count = static_cast<double>(end - i);
    means.push_back({step / count, value / count});
  }
  return means;
}

std::vector<TraceLine> Drawable(const Trace& trace) {
  std::vector<TraceLine> lines;
  for (const TraceLine& line : trace.lines) {
    TraceLine kept = line;
    kept.points = Finite(line.points);
    if (!kept.points.empty()) lines.push_back(std::move(kept));
  }
  return lines;
}

// Three significant digits at most.
std::string ValueLabel(double value) {
  if (value == std::round(value) && std::abs(value) < 1e15) {
    return Count(static_cast<int64_t>(value));
  }
  const int lead = static_cast<int>(std::floor(std::log10(std::abs(value))));
  return Fixed(value, std::clamp(2 - lead, 0, 4));
}

// Where each label goes: as near its line's end as the others let it.
std::vector<double> SpreadLabels(const std::vector<double>& ends) {
  std::vector<size_t> order(ends.size());
  for (size_t i = 0; i < order.size(); ++i) order[i] = i;
  std::sort(order.begin(), order.end(),
            [&](size_t a, size_t b) { return ends[a] < ends[b]; });
  std::vector<double> y = ends;
  for (size_t i = 1; i < order.size(); ++i) {
    y[order[i]] = std::max(y[order[i]], y[order[i - 1]] + kLabelHeight);
  }
  // Down is now as crowded as up is free: back up from the bottom.
  double limit = kBottom;
  for (size_t i = order.size(); i-- > 0;) {
    y[order[i]] = std::min(y[order[i]], limit);
    limit = y[order[i]] - kLabelHeight;
  }
  return y;
}

struct Axes {
  Scale x, y;
};

Axes AxesOf(const Trace& trace, const std::vector<TraceLine>& lines) {
  double low = std::isfinite(trace.low) ? trace.low : HUGE_VAL;
  double high = std::isfinite(trace.high) ? trace.high : -HUGE_VAL;
  double first = HUGE_VAL, last = -HUGE_VAL;
  double seen_low = HUGE_VAL, seen_high = -HUGE_VAL;
  for (const TraceLine& line : lines) {
    for (const auto& [step, value] : line.points) {
      first = std::min(first, step);
      last = std::max(last, step);
      seen_low = std::min(seen_low, value);
      seen_high = std::max(seen_high, value);
    }
  }
  const double pad =
      0.06 * (std::max(high, seen_high) - std::min(low, seen_low));
  if (seen_low < low) low = seen_low - pad;
  if (seen_high > high) high = seen_high + pad;
  return {Scale::Linear(first, last, kLeft, kRight),
          Scale::Linear(low, high, kBottom, kTop)};
}

void DrawLine(Svg& svg, const Axes& axes, const TraceLine& line) {
  Points at;
  for (const auto& [step, value] : line.points) {
    at.push_back({axes.x.At(step), axes.y.At(value)});
  }
  if (!line.dots && at.size() > 1) {
    svg.Polyline(at, absl::StrCat("line ", line.style));
  }
  const bool tooltips = at.size() <= kMaxTooltips;
  if (!line.dots && !tooltips) return;
  for (size_t i = 0; i < at.size(); ++i) {
    svg.Circle(at[i].first, at[i].second, tooltips ? 3 : 1.3,
               absl::StrCat(line.dots ? "raw " : "dot ", line.style),
               tooltips ? absl::StrCat("step ", Fixed(line.points[i].first, 0),
                                       ": ", line.name, " ",
                                       ValueLabel(line.points[i].second))
                        : "");
  }
}

}  // namespace

std::string TraceChart(const Trace& trace) {
  const std::vector<TraceLine> lines = Drawable(trace);
  if (lines.empty()) return "";
  const Axes axes = AxesOf(trace, lines);
  std::string description =
      absl::StrCat("Over the steps of the stage, ", trace.axis, ":");
  for (const TraceLine& line : lines) {
    absl::StrAppend(&description, " ", line.name, " from ",
                    ValueLabel(line.points.front().second), " to ",
                    ValueLabel(line.points.back().second), ";");
  }
  Svg svg(kWidth, kHeight, description);
  DrawHorizontalGrid(svg, axes.y, kLeft, kRight, 4);
  for (const Scale::Tick& tick : axes.x.Ticks(6)) {
    if (tick.value != std::round(tick.value)) continue;
    const double at = axes.x.At(tick.value);
    svg.Line(at, kBottom, at, kBottom + 4, "axis");
    svg.Text(at, kBottom + 18, tick.label, "tick", Anchor::kMiddle);
  }
  svg.Line(kLeft, kBottom, kRight, kBottom, "axis");
  svg.Text(0, 13, trace.axis, "axis-name");
  svg.Text(kRight, kHeight - 4, "step", "axis-name", Anchor::kEnd);
  std::vector<double> ends;
  for (const TraceLine& line : lines) {
    DrawLine(svg, axes, line);
    ends.push_back(axes.y.At(line.points.back().second));
  }
  if (std::isfinite(trace.ring.first) && std::isfinite(trace.ring.second)) {
    svg.Circle(axes.x.At(trace.ring.first), axes.y.At(trace.ring.second), 7,
               "ring", trace.ring_label);
  }
  const std::vector<double> labels = SpreadLabels(ends);
  for (size_t i = 0; i < lines.size(); ++i) {
    svg.Text(kRight + 10, labels[i] + 4,
             absl::StrCat(lines[i].name, " ",
                          ValueLabel(lines[i].points.back().second)),
             absl::StrCat("value of-", lines[i].style,
                          lines[i].style == "student" ? " strong" : ""));
  }
  return std::move(svg).Finish();
}

}  // namespace caracal
