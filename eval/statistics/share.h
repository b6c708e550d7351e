// Confidence intervals of a share of right answers, where answers come in
// groups: the queries of one prompt stand or fall together.
#ifndef CARACAL_EVAL_STATISTICS_SHARE_H_
#define CARACAL_EVAL_STATISTICS_SHARE_H_

#include "absl/types/span.h"
#include "eval/statistics/interval.h"

namespace caracal {

// sum(right) / sum(answers) over groups, with Wilson's score interval (Wilson
// 1927), which unlike the bootstrap has a width where all answers are right or
// all wrong. Answers of a group hang together: their number is divided by the
// design effect (Kish 1965), the variance that groups show over that of
// independent answers, at least 1 and at most what it is when each group
// counts once. Where all are right or all wrong it cannot be seen, and each
// group counts once. right[i] lies in [0, answers[i]]; groups of no answer do
// not count. No answer at all: not measured.
Interval ShareInterval(absl::Span<const double> right,
                       absl::Span<const double> answers, double level = 0.95);

// The difference a - b of two such shares and its interval by squaring and
// adding their two (Newcombe 1998, method 10 without the correlation): a little
// wide where both are of the same answers, never without a width.
Interval ShareDifference(const Interval& a, const Interval& b);

}  // namespace caracal

#endif  // CARACAL_EVAL_STATISTICS_SHARE_H_
