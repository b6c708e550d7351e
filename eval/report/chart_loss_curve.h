// The loss of one training stage over its steps: raw dots, a smoothed line,
// and the validation losses where there are any.
#ifndef CARACAL_EVAL_REPORT_CHART_LOSS_CURVE_H_
#define CARACAL_EVAL_REPORT_CHART_LOSS_CURVE_H_

#include <string>
#include <utility>
#include <vector>

#include "eval/report/metrics.h"

namespace caracal {

// Metrics by stage, stages in order of appearance, steps as they come.
std::vector<std::pair<std::string, std::vector<StepMetrics>>> SplitByStage(
    const std::vector<StepMetrics>& metrics);

// An <svg> element. The axis is logarithmic when losses span more than a
// factor of 20. Steps without a finite loss leave a hole; empty when there is
// no finite loss at all. More than 1000 steps are drawn as means of groups.
std::string LossCurveChart(const std::string& stage,
                           const std::vector<StepMetrics>& steps);

}  // namespace caracal

#endif  // CARACAL_EVAL_REPORT_CHART_LOSS_CURVE_H_
