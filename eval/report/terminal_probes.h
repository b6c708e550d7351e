// The text probes' part of the terminal report.
#ifndef CARACAL_EVAL_REPORT_TERMINAL_PROBES_H_
#define CARACAL_EVAL_REPORT_TERMINAL_PROBES_H_

#include "eval/attribution/result.h"
#include "eval/report/terminal_writer.h"

namespace caracal {

// A table a probe, modes down and lengths across, then what each says; nothing
// where none was asked.
void WriteProbes(TerminalWriter& out, const AttributionResult& result);

}  // namespace caracal

#endif  // CARACAL_EVAL_REPORT_TERMINAL_PROBES_H_
