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

// The same of sum(weights[i] values[i]) / sum(weights[i]): rows are resampled
// with their weights, and each resample's figure is the ratio of its own two
// sums, so that the interval is about the very number that the sums of all
// rows give. Where weights differ, the widening counts Kish's effective number
// of rows, sum(w)^2 / sum(w^2). Weights are finite and above 0, as many as
// values.
Interval BootstrapWeightedMean(absl::Span<const double> values,
                               absl::Span<const double> weights,
                               const BootstrapOptions& options = {});

// The weighted mean of a[i] - b[i] and its interval: rows are resampled as
// pairs, so what makes a row hard for both drops out. All three have the same
// length.
Interval BootstrapDifference(absl::Span<const double> a,
                             absl::Span<const double> b,
                             absl::Span<const double> weights,
                             const BootstrapOptions& options = {});

// sum(weights[i] a[i]) / sum(weights[i] b[i]) and its interval, rows resampled
// as pairs. Bounds are NaN where b's sum is not above 0 in some resample: a
// ratio to what may be nothing has no interval. All three have the same length.
Interval BootstrapRatio(absl::Span<const double> a, absl::Span<const double> b,
                        absl::Span<const double> weights,
                        const BootstrapOptions& options = {});

}  // namespace caracal

#endif  // CARACAL_EVAL_STATISTICS_BOOTSTRAP_H_
