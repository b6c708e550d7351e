// What the measurements say, in plain sentences with their numbers: whether
// the linear part is used, what sinks alone buy, whether the conversion beats
// doing nothing, and, of a swa_control run, what LoRA alone bought. Bad news is
// told as plainly as good.
#ifndef CARACAL_EVAL_REPORT_VERDICT_H_
#define CARACAL_EVAL_REPORT_VERDICT_H_

#include <string>
#include <vector>

#include "eval/attribution/result.h"
#include "eval/report/finding.h"
#include "eval/report/la_status.h"

namespace caracal {

struct Verdict {
  LaStatus status;
  // As LaJudgement has them; empty where text probes are all there is.
  std::string word, rule;
  Finding headline;
  std::vector<Finding> findings;
};

// Shares are given only where the intervals of everything divided exclude 0.
Verdict JudgeAttribution(const AttributionResult& result);

}  // namespace caracal

#endif  // CARACAL_EVAL_REPORT_VERDICT_H_
