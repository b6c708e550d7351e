// The picture of a text probe: what share each mode gets right, length by
// length.
#ifndef CARACAL_EVAL_REPORT_CHART_PROBE_H_
#define CARACAL_EVAL_REPORT_CHART_PROBE_H_

#include <string>

#include "eval/report/probe_rows.h"

namespace caracal {

// Dots with whiskers: facts outside window and sinks; rings: facts inside. ""
// where nothing was asked.
std::string ProbeChart(const ProbeGroup& group);

}  // namespace caracal

#endif  // CARACAL_EVAL_REPORT_CHART_PROBE_H_
