// The tables of the HTML report.
#ifndef CARACAL_EVAL_REPORT_HTML_TABLES_H_
#define CARACAL_EVAL_REPORT_HTML_TABLES_H_

#include <string>
#include <vector>

#include "eval/attribution/result.h"
#include "eval/report/mode_rows.h"

namespace caracal {

// Loss, interval, difference to the teacher and second half of every mode.
std::string ModeTable(const std::vector<ModeRow>& rows);

// What removing each component costs, and its Shapley value; "" when nothing
// was measured.
std::string ComponentTable(const AttributionResult& result);

// A value per layer (down) and head (across).
std::string HeadTable(const std::string& title, const HeadGrid& grid,
                      bool with_sign);

}  // namespace caracal

#endif  // CARACAL_EVAL_REPORT_HTML_TABLES_H_
