// A value and a range for each layer, or nothing for some.
#ifndef CARACAL_EVAL_REPORT_CHART_LAYERS_H_
#define CARACAL_EVAL_REPORT_CHART_LAYERS_H_

#include <string>
#include <vector>

#include "eval/statistics/interval.h"

namespace caracal {

// An <svg> element: a dot at each mean, a whisker from low to high. Layers
// that are not measured leave a hole; empty when all do. `low` and `high`:
// what the axis shows at least.
std::string LayerChart(const std::string& axis,
                       const std::vector<Interval>& layers, double low,
                       double high);

}  // namespace caracal

#endif  // CARACAL_EVAL_REPORT_CHART_LAYERS_H_
