// Confidence intervals of a figure that was measured with several seeds on the
// same rows: both vary, and seeds are few.
//
// The rows' part comes from the bootstrap (bootstrap.h) over rows of the mean
// over seeds; the seeds' part is Student's t on the seeds' own figures. The two
// half widths are squared and added, each side for itself. That is exact where
// only one of the two varies and a little wide where both do (what seed and row
// do together is in both parts). A bootstrap of two or three seeds cannot be
// used: it knows no figure beyond those it has, and covers half of the time.
// With two seeds t has one degree of freedom and is 12.7: wide, as what two
// seeds say is little. With one seed the interval is over rows alone.
#ifndef CARACAL_EVAL_STATISTICS_SEEDS_H_
#define CARACAL_EVAL_STATISTICS_SEEDS_H_

#include <vector>

#include "absl/types/span.h"
#include "eval/statistics/bootstrap.h"
#include "eval/statistics/interval.h"

namespace caracal {

using SeedsAndRows = std::vector<std::vector<double>>;  // (seeds, rows)

// The weighted mean over rows and seeds. Every seed has as many rows as there
// are weights. No seed: not measured.
Interval SeedsMean(const SeedsAndRows& values, absl::Span<const double> weights,
                   const BootstrapOptions& options = {});

// The same of sum(a) / sum(b), as BootstrapRatio() has it.
Interval SeedsRatio(const SeedsAndRows& a, const SeedsAndRows& b,
                    absl::Span<const double> weights,
                    const BootstrapOptions& options = {});

// mean(a) - mean(b) of other numbers of seeds on the same rows: rows are
// paired, seeds are not. One seed counts as if seeds made no difference there.
Interval SeedsDifference(const SeedsAndRows& a, const SeedsAndRows& b,
                         absl::Span<const double> weights,
                         const BootstrapOptions& options = {});

// Adds to an interval what `of_seeds`, the figure of each seed, vary by.
Interval WidenBySeeds(Interval interval, absl::Span<const double> of_seeds,
                      double level = 0.95);

}  // namespace caracal

#endif  // CARACAL_EVAL_STATISTICS_SEEDS_H_
