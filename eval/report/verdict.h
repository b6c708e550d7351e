// What the measurements say, in plain sentences with their numbers: whether
// the linear part is used, what sinks alone buy, whether the conversion beats
// doing nothing, and, of a swa_control run, what LoRA alone bought. Bad news is
// told as plainly as good.
#ifndef CARACAL_EVAL_REPORT_VERDICT_H_
#define CARACAL_EVAL_REPORT_VERDICT_H_

#include <string>
#include <vector>

#include "eval/attribution/result.h"

namespace caracal {

enum class LaStatus {
  kUsed,         // the interval of u lies above 0
  kNoneVisible,  // it includes 0
  kHurts,        // it lies below 0
  kOutOfReach,   // reach is near 0: the text cannot tell
  kNotMeasured,  // swa_only or hybrid is missing, or fewer than two rows
  kControl,      // a swa_control run: it has no linear part to judge
};

// Below this share of scored tokens with a non-empty linear set, losses cannot
// say anything about the linear part.
inline constexpr double kReachNearZero = 0.05;

enum class Tone { kGood, kPlain, kWarning };

struct Finding {
  Tone tone;
  std::string text;  // one or two sentences; hyphens for minus signs
};

struct Verdict {
  LaStatus status;
  Finding headline;
  std::vector<Finding> findings;
};

// Shares are given only where the intervals of everything divided exclude 0.
Verdict JudgeAttribution(const AttributionResult& result);

}  // namespace caracal

#endif  // CARACAL_EVAL_REPORT_VERDICT_H_
