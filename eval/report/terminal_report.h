// The attribution report as text for a terminal.
#ifndef CARACAL_EVAL_REPORT_TERMINAL_REPORT_H_
#define CARACAL_EVAL_REPORT_TERMINAL_REPORT_H_

#include <cstddef>
#include <string>

#include "eval/report/report_input.h"

namespace caracal {

struct TerminalOptions {
  size_t width = 80;   // columns; the table needs 76
  bool color = false;  // ANSI escapes for bold, dim, green and yellow
};

// Lines in UTF-8, the last one ended. Texts of the input lose their control
// characters, so that model output cannot steer the terminal. Parts without
// data are left out.
std::string TerminalReport(const ReportInput& input,
                           const TerminalOptions& options = {});

}  // namespace caracal

#endif  // CARACAL_EVAL_REPORT_TERMINAL_REPORT_H_
