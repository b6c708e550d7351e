// The results of one probe in the order and words of the reports.
#ifndef CARACAL_EVAL_REPORT_PROBE_ROWS_H_
#define CARACAL_EVAL_REPORT_PROBE_ROWS_H_

#include <string>
#include <vector>

#include "eval/attribution/result.h"
#include "eval/report/mode_rows.h"

namespace caracal {

// Of one probe, by rising length. Pointers are into the result.
struct ProbeGroup {
  std::string probe;  // "passkey"
  std::vector<const ProbeResult*> lengths;
  // Every mode that some length has, as ModeRows() orders them, each with the
  // mode's own name.
  struct Mode {
    std::string mode;
    ModeName name;
  };
  std::vector<Mode> modes;
};

std::vector<ProbeGroup> ProbeGroups(const AttributionResult& result);

// What is asked, in a sentence.
std::string AboutProbe(const ProbeGroup& group);

// "11 of 16": answers whose fact lies outside window and sinks.
std::string OutsideOf(const ProbeResult& probe);

}  // namespace caracal

#endif  // CARACAL_EVAL_REPORT_PROBE_ROWS_H_
