// Cells are sized to the page: a wide cell for nine heads, a narrow one for
// sixty-four.
#include "eval/report/chart_heat_map.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/utf8.h"
#include "eval/report/color_scale.h"
#include "eval/report/numbers.h"
#include "eval/report/scale.h"
#include "eval/report/svg.h"

namespace caracal {
namespace {

constexpr double kWidth = 300;
constexpr double kLeft = 28, kRight = kWidth - 2;
constexpr double kTop = 36, kFooter = 52;
constexpr double kBarHeight = 10;
// Of a label's letter, on average.
constexpr double kLetterWidth = 6.8;

// Every how many-th label to print, so that they do not touch.
size_t LabelStride(size_t count, double spacing, double needed) {
  for (size_t stride : {1, 2, 4, 5, 8, 10, 16, 20, 32}) {
    if (stride == 1 && count <= 1) return 1;
    if (spacing * static_cast<double>(stride) >= needed) return stride;
  }
  return 50;
}

void DrawCell(Svg& svg, const HeatMap& map, double x, double y, double width,
              double height, double value, const std::string& tooltip) {
  if (!std::isfinite(value)) {
    svg.Rect(x, y, width, height, "hollow", tooltip);
  } else if (map.diverging) {
    svg.Rect(x, y, width, height, DivergingClass(value / map.limit), tooltip);
  } else {
    svg.Rect(x, y, width, height, "", tooltip,
             SequentialColor(value / map.limit));
  }
}

struct BarLabel {
  double at;
  std::string text;
  Anchor anchor;
  double begin, end;  // what it covers
};

std::vector<BarLabel> BarLabels(const Scale& x, bool with_sign, int count) {
  std::vector<BarLabel> labels;
  for (const Scale::Tick& tick : x.Ticks(count)) {
    BarLabel label;
    label.at = x.At(tick.value);
    label.text =
        absl::StrCat(with_sign && tick.value > 0 ? "+" : "", tick.label);
    label.anchor = label.at < kLeft + 4    ? Anchor::kStart
                   : label.at > kRight - 4 ? Anchor::kEnd
                                           : Anchor::kMiddle;
    const double width =
        kLetterWidth * static_cast<double>(TerminalColumns(label.text));
    label.begin = label.at - (label.anchor == Anchor::kMiddle ? width / 2
                              : label.anchor == Anchor::kEnd  ? width
                                                              : 0);
    label.end = label.begin + width;
    labels.push_back(std::move(label));
  }
  return labels;
}

bool StandApart(const std::vector<BarLabel>& labels) {
  for (size_t i = 1; i < labels.size(); ++i) {
    if (labels[i].begin - labels[i - 1].end < 8) return false;
  }
  return true;
}

void DrawColorBar(Svg& svg, const HeatMap& map, double top) {
  const double low = map.diverging ? -map.limit : 0;
  const Scale x = Scale::Linear(low, map.limit, kLeft, kRight);
  const int steps = 2 * kDivergingSteps + 1;
  const double width = (kRight - kLeft) / steps;
  for (int i = 0; i < steps; ++i) {
    const double share = static_cast<double>(i) / (steps - 1);
    // A little overlap, so that no seam shows between neighbours.
    DrawCell(svg, map, kLeft + i * width, top,
             i + 1 < steps ? width + 0.5 : width, kBarHeight,
             low + share * (map.limit - low), "");
  }
  int count = 4;
  std::vector<BarLabel> labels = BarLabels(x, map.diverging, count);
  while (count > 1 && !StandApart(labels)) {
    labels = BarLabels(x, map.diverging, --count);
  }
  for (const BarLabel& label : labels) {
    svg.Line(label.at, top + kBarHeight, label.at, top + kBarHeight + 4,
             "axis");
    svg.Text(label.at, top + kBarHeight + 17, label.text, "tick", label.anchor);
  }
}

}  // namespace

double HeatMapLimit(const HeadGrid& grid) {
  double largest = 1e-3;
  for (const auto& layer : grid) {
    for (double value : layer) {
      if (std::isfinite(value)) largest = std::max(largest, std::abs(value));
    }
  }
  const double power = std::pow(10, std::floor(std::log10(largest)));
  for (double lead : {1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0}) {
    if (lead * power >= largest * (1 - 1e-9)) return lead * power;
  }
  return 10 * power;
}

std::string HeatMapChart(const HeatMap& map) {
  const HeadGrid& grid = *map.grid;
  const size_t layers = grid.size(), heads = grid[0].size();
  const double cell_width = (kRight - kLeft) / static_cast<double>(heads);
  const double cell_height =
      std::clamp(420 / static_cast<double>(layers), 7.0, 26.0);
  const double bottom = kTop + cell_height * static_cast<double>(layers);
  Svg svg(
      kWidth, bottom + kFooter,
      absl::StrCat(map.what, " by layer and head, mean ",
                   Fixed(GridMean(grid), 3), ", over ", layers, " layers of ",
                   heads, " heads. The values stand in the table below."));
  svg.Text(0, 13, "layer", "axis-name");
  svg.Text(kRight, 13, "head", "axis-name", Anchor::kEnd);
  const size_t head_stride = LabelStride(heads, cell_width, 22);
  for (size_t head = 0; head < heads; head += head_stride) {
    svg.Text(kLeft + (static_cast<double>(head) + 0.5) * cell_width, kTop - 7,
             absl::StrCat(head), "tick", Anchor::kMiddle);
  }
  const size_t layer_stride = LabelStride(layers, cell_height, 24);
  const double seam = std::min(cell_width, cell_height) > 5 ? 1 : 0;
  for (size_t layer = 0; layer < layers; ++layer) {
    const double y = kTop + static_cast<double>(layer) * cell_height;
    if (layer % layer_stride == 0) {
      svg.Text(kLeft - 7, y + cell_height / 2 + 4, absl::StrCat(layer), "tick",
               Anchor::kEnd);
    }
    for (size_t head = 0; head < heads; ++head) {
      const double value = grid[layer][head];
      DrawCell(
          svg, map, kLeft + static_cast<double>(head) * cell_width, y,
          cell_width - seam, cell_height - seam, value,
          absl::StrCat("layer ", layer, ", head ", head, ": ", map.what, " ",
                       map.diverging ? Signed(value, 3) : Fixed(value, 3)));
    }
  }
  DrawColorBar(svg, map, bottom + 14);
  return std::move(svg).Finish();
}

}  // namespace caracal
