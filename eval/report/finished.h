// What a run's model finished as. Verdicts are about the hybrid, since only it
// has a window and a linear part to tell apart; a run whose model is meant to
// run in another mode has to be told from that.
#ifndef CARACAL_EVAL_REPORT_FINISHED_H_
#define CARACAL_EVAL_REPORT_FINISHED_H_

#include <string>

#include "eval/attribution/result.h"

namespace caracal {

// settings.finished_as. Where that is not known: "swa_only" of a swa_control
// run, "hybrid" of all others.
std::string FinishedMode(const AttributionSettings& settings);

bool FinishedAsHybrid(const AttributionSettings& settings);

// Its losses; nullptr where it was not measured. In `result`.
const ModeResult* FindFinished(const AttributionResult& result);

// "finished as la_only, with a loss of 6.203 nats per token", or "finished as
// la_only, which was not measured".
std::string FinishedWords(const AttributionResult& result);

// The line below a report's title; "" for a hybrid.
std::string FinishedLine(const AttributionResult& result);

// What stands before a verdict's word: "Verdict: ", or that it is about the
// model run as a hybrid.
std::string VerdictLabel(const AttributionSettings& settings);

}  // namespace caracal

#endif  // CARACAL_EVAL_REPORT_FINISHED_H_
