// What a text probe says about the linear part: one word a probe and length, by
// a fixed rule, and a sentence with its numbers (docs/method.md, section 5).
#ifndef CARACAL_EVAL_REPORT_PROBE_STATUS_H_
#define CARACAL_EVAL_REPORT_PROBE_STATUS_H_

#include <string>
#include <vector>

#include "eval/attribution/probe_result.h"
#include "eval/report/finding.h"
#include "eval/statistics/interval.h"

namespace caracal {

// Of the answers whose fact lies outside window and sinks; the first that
// holds:
enum class ProbeStatus {
  kTeacherCannot,  // the teacher gets too few right (TeacherCan)
  kOutOfReach,     // no fact lies outside
  kNotMeasured,    // hybrid or swa_only is missing
  kHurts,          // hybrid - swa_only lies below 0
  kUsed,           // it lies above 0
  kWorthless,      // teacher - teacher_swa ends below a quarter, and is not
                   // above 0
  kTooFewFacts,    // it is not above 0
  kBypassed,       // hybrid - swa_only ends below a tenth of that
  kNotSeen,        // it includes 0 and more
};

// The facts outside are worth nothing to the teacher where at best this share
// of them needs more than a window.
inline constexpr double kWorthNearZero = 0.25;

struct ProbeJudgement {
  ProbeStatus status = ProbeStatus::kNotMeasured;
  // "used", "bypassed", "hurts", "no use seen: at most 0.26", "cannot tell: the
  // teacher gets 0.12 [0.03, 0.36]", ...
  std::string word;
  Interval brings;  // share right: hybrid - swa_only
  Interval worth;   // teacher - teacher_swa
};

ProbeJudgement JudgeProbe(const ProbeResult& probe);

// "Passkey, 512 tokens"
std::string ProbeTitle(const ProbeResult& probe);

// Title, word and what it rests on.
Finding ProbeFinding(const ProbeResult& probe);

// What all of them say together, in a sentence; there is one at least.
Finding ProbesHeadline(const std::vector<ProbeResult>& probes);

}  // namespace caracal

#endif  // CARACAL_EVAL_REPORT_PROBE_STATUS_H_
