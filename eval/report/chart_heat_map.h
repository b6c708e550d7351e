// A value per layer and head as a grid of colours with its colour bar.
#ifndef CARACAL_EVAL_REPORT_CHART_HEAT_MAP_H_
#define CARACAL_EVAL_REPORT_CHART_HEAT_MAP_H_

#include <string>

#include "eval/attribution/result.h"

namespace caracal {

struct HeatMap {
  std::string what;  // "LA mass": for tooltips and the description
  const HeadGrid* grid = nullptr;  // (layers, heads), not empty
  // The colour bar's end: [0, limit], or [-limit, limit] when diverging.
  double limit = 1;
  bool diverging = false;
};

// An <svg> element. Layers run downwards, heads to the right; every cell has
// its value as tooltip. NaN is drawn as a hollow cell.
std::string HeatMapChart(const HeatMap& map);

// The largest absolute value of a grid, rounded up to one or two digits that
// make a good end of a colour bar; 1e-3 at least.
double HeatMapLimit(const HeadGrid& grid);

}  // namespace caracal

#endif  // CARACAL_EVAL_REPORT_CHART_HEAT_MAP_H_
