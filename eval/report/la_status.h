// Whether the linear part is used: one word a run, by a fixed rule that is
// printed beside it (docs/method.md, section 5). It is about the hybrid, which
// a run may not have finished as (finished.h).
#ifndef CARACAL_EVAL_REPORT_LA_STATUS_H_
#define CARACAL_EVAL_REPORT_LA_STATUS_H_

#include <string>

#include "eval/attribution/result.h"
#include "eval/statistics/interval.h"

namespace caracal {

// With u = loss(swa_only) - loss(hybrid), what the linear part brings, and
// u* = loss(teacher_swa) - loss(teacher), what the past is worth to the
// teacher; the first that holds:
enum class LaStatus {
  kControl,        // a swa_control run: it has no linear part to judge
  kOutOfReach,     // reach is near 0: the text cannot tell
  kNotMeasured,    // swa_only or hybrid is missing, or fewer than two rows
  kHurts,          // the interval of u lies below 0
  kSinkOnly,       // it lies above 0, but 4 sinks in the linear part's place do
                   // as well
  kUsed,           // it lies above 0
  kWorthless,      // it includes 0, and that of u* ends near 0
  kTooLittleData,  // it includes 0, and so does that of u*
  kBypassed,       // it includes 0 and ends below a tenth of u*
  kTooWide,        // it includes 0 and more
};

// Below this share of scored tokens with a non-empty linear set, losses cannot
// say anything about the linear part.
inline constexpr double kReachNearZero = 0.05;
// A linear part that brings less than this share of u*, at best, is bypassed.
inline constexpr double kBypassedShareOfUstar = 0.1;

// The past is worth nothing to the teacher where the interval of u* ends below
// this, in nats per token: two per cent of perplexity.
inline constexpr double kUstarNearZero = 0.02;

struct LaJudgement {
  LaStatus status = LaStatus::kNotMeasured;
  // "used", "used as a sink only", "bypassed", "hurts", "cannot tell: reach
  // 0.03", "control"
  std::string word;
  std::string rule;  // why, in one sentence with its numbers
};

LaJudgement JudgeLinearPart(const AttributionResult& result);

// What 4 untrained sinks bring in the linear part's place: loss(swa_only) -
// loss(swa_only with 4 sinks); not measured where the student has as many.
Interval SinksInstead(const AttributionResult& result);
// What the linear part brings beyond them: loss(swa_only with 4 sinks) -
// loss(hybrid).
Interval BeyondSinks(const AttributionResult& result);

}  // namespace caracal

#endif  // CARACAL_EVAL_REPORT_LA_STATUS_H_
