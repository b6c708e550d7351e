// The text probes' section of the HTML report.
#ifndef CARACAL_EVAL_REPORT_HTML_PROBES_H_
#define CARACAL_EVAL_REPORT_HTML_PROBES_H_

#include <string>

#include "eval/attribution/result.h"

namespace caracal {

// What each probe says, a picture of each and a table; "" where none was asked.
std::string ProbeSection(const AttributionResult& result);

}  // namespace caracal

#endif  // CARACAL_EVAL_REPORT_HTML_PROBES_H_
