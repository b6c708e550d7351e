// The components of attention in the order and words of the reports: what
// removing each costs, and its Shapley value.
#ifndef CARACAL_EVAL_REPORT_COMPONENT_ROWS_H_
#define CARACAL_EVAL_REPORT_COMPONENT_ROWS_H_

#include <limits>
#include <string>
#include <vector>

#include "eval/attribution/result.h"
#include "eval/statistics/interval.h"

namespace caracal {

struct ComponentRow {
  std::string component;  // "swa"
  std::string name;       // "window"
  Interval drop, shapley;
  // Of what attention brings; NaN unless the interval of that excludes 0.
  double share = std::numeric_limits<double>::quiet_NaN();
};

// Window, linear part, sinks, then components unknown here; and where Shapley
// values were measured, their sum as component "all".
std::vector<ComponentRow> ComponentRows(const AttributionResult& result);

}  // namespace caracal

#endif  // CARACAL_EVAL_REPORT_COMPONENT_ROWS_H_
