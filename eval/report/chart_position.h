// Attention masses along a row: the past outside the window grows with
// position, and so should what the linear part carries.
#ifndef CARACAL_EVAL_REPORT_CHART_POSITION_H_
#define CARACAL_EVAL_REPORT_CHART_POSITION_H_

#include <string>
#include <vector>

#include "eval/attribution/result.h"

namespace caracal {

// An <svg> element with a line for the linear part and one for the teacher,
// a point in the middle of each bucket. Empty for fewer than two buckets with
// both masses.
std::string PositionChart(const std::vector<PositionMasses>& buckets);

}  // namespace caracal

#endif  // CARACAL_EVAL_REPORT_CHART_POSITION_H_
