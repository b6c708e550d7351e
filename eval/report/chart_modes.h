// Losses of the component modes: as bars from zero, and as differences to the
// teacher on a scale fine enough to tell the good modes apart.
#ifndef CARACAL_EVAL_REPORT_CHART_MODES_H_
#define CARACAL_EVAL_REPORT_CHART_MODES_H_

#include <string>
#include <vector>

#include "eval/report/mode_rows.h"

namespace caracal {

// An <svg> element: horizontal bars with interval whiskers and a line at the
// teacher's loss. Empty when no row has a loss.
std::string ModeLossChart(const std::vector<ModeRow>& rows);

// An <svg> element: a dot and the paired interval of each mode's loss minus
// the teacher's. The scale fits the student and the best baselines; what lies
// beyond gets an arrow and its number. Empty without a teacher to compare to.
std::string ModeDifferenceChart(const std::vector<ModeRow>& rows);

}  // namespace caracal

#endif  // CARACAL_EVAL_REPORT_CHART_MODES_H_
