// Layers across, values up.
#include "eval/report/chart_layers.h"

#include <algorithm>
#include <cmath>
#include <cstddef>

#include "absl/strings/str_cat.h"
#include "eval/report/numbers.h"
#include "eval/report/scale.h"
#include "eval/report/svg.h"

namespace caracal {
namespace {

constexpr double kWidth = 480, kHeight = 230;
constexpr double kLeft = 56, kRight = kWidth - 14;
constexpr double kTop = 30, kBottom = kHeight - 40;

}  // namespace

std::string LayerChart(const std::string& axis,
                       const std::vector<Interval>& layers, double low,
                       double high) {
  bool any = false;
  for (const Interval& layer : layers) {
    if (!layer.measured()) continue;
    any = true;
    low = std::min(low, layer.bounded() ? layer.low : layer.mean);
    high = std::max(high, layer.bounded() ? layer.high : layer.mean);
  }
  if (!any) return "";
  const double pad = 0.06 * (high - low);
  const double last = static_cast<double>(layers.size()) - 1;
  const Scale x = Scale::Linear(-0.6, last + 0.6, kLeft, kRight);
  const Scale y =
      Scale::Linear(low < 0 ? low - pad : low, high + pad, kBottom, kTop);
  std::string description = absl::StrCat("By layer, ", axis, ":");
  for (size_t i = 0; i < layers.size(); ++i) {
    absl::StrAppend(&description, " ", Fixed(layers[i].mean, 3));
  }
  Svg svg(kWidth, kHeight, description);
  DrawHorizontalGrid(svg, y, kLeft, kRight, 4);
  for (const Scale::Tick& tick : x.Ticks(8)) {
    if (tick.value != std::round(tick.value)) continue;
    svg.Line(x.At(tick.value), kBottom, x.At(tick.value), kBottom + 4, "axis");
    svg.Text(x.At(tick.value), kBottom + 18, tick.label, "tick",
             Anchor::kMiddle);
  }
  svg.Line(kLeft, kBottom, kRight, kBottom, "axis");
  if (low < 0) svg.Line(kLeft, y.At(0), kRight, y.At(0), "reference");
  svg.Text(0, 13, axis, "axis-name");
  svg.Text(kRight, kHeight - 4, "layer", "axis-name", Anchor::kEnd);
  for (size_t i = 0; i < layers.size(); ++i) {
    const Interval& layer = layers[i];
    if (!layer.measured()) continue;
    const double at = x.At(static_cast<double>(i));
    if (layer.bounded()) {
      svg.Line(at, y.At(layer.low), at, y.At(layer.high), "whisker");
    }
    svg.Circle(at, y.At(layer.mean), 4, "dot student",
               absl::StrCat("layer ", i, ": ", Fixed(layer.mean, 4), " ",
                            Range(layer, 4)));
  }
  return std::move(svg).Finish();
}

}  // namespace caracal
