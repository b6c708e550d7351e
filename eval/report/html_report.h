// The attribution report as one HTML page that needs nothing but itself: no
// network, no script, no font; pictures are inline SVG.
#ifndef CARACAL_EVAL_REPORT_HTML_REPORT_H_
#define CARACAL_EVAL_REPORT_HTML_REPORT_H_

#include <string>

#include "eval/report/report_input.h"

namespace caracal {

// A whole HTML document in UTF-8, also well-formed as XML. Every text of the
// input is escaped; parts without data are left out. The same input gives the
// same bytes.
std::string HtmlReport(const ReportInput& input);

}  // namespace caracal

#endif  // CARACAL_EVAL_REPORT_HTML_REPORT_H_
