// The intervals that follow from the losses of each row.
#ifndef CARACAL_EVAL_ATTRIBUTION_RESULT_INTERVALS_H_
#define CARACAL_EVAL_ATTRIBUTION_RESULT_INTERVALS_H_

#include "eval/attribution/result.h"
#include "eval/statistics/bootstrap.h"
#include "eval/statistics/interval.h"

namespace caracal {

// loss(a) - loss(b), paired over rows, each row weighed by its scored tokens
// as the losses are. Not measured (NaN) when either is nullptr, has no rows,
// or the two have not the same rows. Of pooled results the interval is over
// rows and seeds (eval/statistics/seeds.h): paired by seed too where both have
// as many, which is right within a result and allowed between two; else not.
Interval LossDifference(const ModeResult* a, const ModeResult* b,
                        const BootstrapOptions& options = {});

// loss(mode) with its interval, of pooled results over rows and seeds.
Interval MeanLoss(const ModeResult& mode, const BootstrapOptions& options = {});

// r = u / u*: of what the past is worth to the teacher, the share that the
// linear part brings. Not measured unless u* lies above 0 and all four modes
// have the same rows.
Interval UseRatio(const AttributionResult& result,
                  const BootstrapOptions& options = {});

// Fills the interval of every mode and baseline, what_la_brings, ustar,
// what_attention_brings, and, where swa_only was run, the drop of component
// "la" (removing it is that mode). The drops of other components are the
// caller's.
void FillIntervals(AttributionResult& result,
                   const BootstrapOptions& options = {});

}  // namespace caracal

#endif  // CARACAL_EVAL_ATTRIBUTION_RESULT_INTERVALS_H_
