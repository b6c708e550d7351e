// Confidence intervals by the bootstrap over rows (or documents): the rows of
// a text are what varies between measurements, so they are what is resampled.
#ifndef CARACAL_EVAL_STATISTICS_BOOTSTRAP_H_
#define CARACAL_EVAL_STATISTICS_BOOTSTRAP_H_

#include <cstdint>

#include "absl/types/span.h"
#include "eval/statistics/interval.h"

namespace caracal {

struct BootstrapOptions {
  uint64_t seed = 0;  // the same seed gives the same bits on every machine
  int resamples = 10000;
  double level = 0.95;  // in (0, 1)
};

// The mean of `values` and its interval: percentiles of the means of
// resamples, widened for small n as the Student t distribution asks (the
// "expanded percentile" interval of Hesterberg 2015, section 5.3: without it
// ten rows give 90% intervals under a 95% label). With fewer than five rows
// the interval can still be too narrow; with one its bounds are NaN; with none
// the mean is NaN too. NaN or infinite values give NaN throughout.
Interval BootstrapMean(absl::Span<const double> values,
                       const BootstrapOptions& options = {});

// The mean of a[i] - b[i] and its interval: rows are resampled as pairs, so
// what makes a row hard for both drops out. a and b have the same length.
Interval BootstrapDifference(absl::Span<const double> a,
                             absl::Span<const double> b,
                             const BootstrapOptions& options = {});

}  // namespace caracal

#endif  // CARACAL_EVAL_STATISTICS_BOOTSTRAP_H_
