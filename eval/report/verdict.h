// What the measurements say, in plain sentences with their numbers: whether
// the linear part is used, what sinks alone buy, whether the conversion beats
// doing nothing, and, of a swa_control run, what LoRA alone bought. Bad news is
// told as plainly as good.
#ifndef CARACAL_EVAL_REPORT_VERDICT_H_
#define CARACAL_EVAL_REPORT_VERDICT_H_

#include <string>
#include <vector>

#include "eval/attribution/result.h"
#include "eval/report/la_status.h"

namespace caracal {

enum class Tone { kGood, kPlain, kWarning };

struct Finding {
  Tone tone;
  std::string text;  // one or two sentences; hyphens for minus signs
};

struct Verdict {
  LaStatus status;
  std::string word, rule;  // as LaJudgement has them
  Finding headline;
  std::vector<Finding> findings;
};

// Shares are given only where the intervals of everything divided exclude 0.
Verdict JudgeAttribution(const AttributionResult& result);

}  // namespace caracal

#endif  // CARACAL_EVAL_REPORT_VERDICT_H_
