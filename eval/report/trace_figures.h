// The pictures of what steered a training stage: dropout and window of a
// curriculum, the closed loop's measurements, the early stop's losses.
#ifndef CARACAL_EVAL_REPORT_TRACE_FIGURES_H_
#define CARACAL_EVAL_REPORT_TRACE_FIGURES_H_

#include <string>
#include <vector>

#include "eval/report/metrics.h"

namespace caracal {

struct TraceFigure {
  std::string title, about;
  std::string chart;  // an <svg> element
};

// Those that the steps of one stage have numbers for.
std::vector<TraceFigure> TraceFigures(const std::vector<StepMetrics>& steps);

}  // namespace caracal

#endif  // CARACAL_EVAL_REPORT_TRACE_FIGURES_H_
