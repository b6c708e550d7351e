// The style sheet of the HTML report.
#ifndef CARACAL_EVAL_REPORT_HTML_STYLE_H_
#define CARACAL_EVAL_REPORT_HTML_STYLE_H_

#include <string>

namespace caracal {

// CSS for screen (light and dark, by the reader's preference), narrow screens
// and paper. System fonts only; refers to nothing outside the page.
std::string HtmlReportStyle();

}  // namespace caracal

#endif  // CARACAL_EVAL_REPORT_HTML_STYLE_H_
