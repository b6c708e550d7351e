// Findings as items of an HTML list.
#ifndef CARACAL_EVAL_REPORT_HTML_FINDINGS_H_
#define CARACAL_EVAL_REPORT_HTML_FINDINGS_H_

#include <string>

#include "eval/report/finding.h"

namespace caracal {

// The style class of a tone: "good", "warning", "plain".
const char* ToneClass(Tone tone);

// <li> with its sign and, for readers who cannot see it, a word.
std::string FindingItem(const Finding& finding);

}  // namespace caracal

#endif  // CARACAL_EVAL_REPORT_HTML_FINDINGS_H_
