// The bootstrap: ratios of sums over resamples, then two quantiles of them.
#include "eval/statistics/bootstrap.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <utility>
#include <vector>

#include "core/base/philox.h"
#include "eval/statistics/distribution.h"
#include "eval/statistics/quantile.h"
#include "kernels/common/check.h"

namespace caracal {
namespace {

// The tail mass to cut at either end of the resampled means. Percentiles use
// the standard error with divisor n and a normal quantile; both are put right.
double TailMass(double level, double rows) {
  const double t = StudentUpperQuantile((1 - level) / 2, rows - 1);
  return NormalCdf(-std::sqrt(rows / (rows - 1)) * t);
}

// The ratio's bounds: of the resampled sums over rows of `over` and `under`,
// counted as `rows` rows.
Interval WithBounds(Interval interval, absl::Span<const double> over,
                    absl::Span<const double> under, double rows,
                    const BootstrapOptions& options) {
  const size_t n = over.size();
  std::vector<double> ratios(static_cast<size_t>(options.resamples));
  for (size_t replicate = 0; replicate < ratios.size(); ++replicate) {
    const RandomStream stream({.seed = options.seed,
                               .purpose = RandomPurpose::kBootstrap,
                               .step = replicate});
    double total_over = 0, total_under = 0;
    for (size_t i = 0; i < n; i += 4) {
      const std::array<uint32_t, 4> block = stream.Block(i);
      for (size_t k = 0; k < std::min<size_t>(4, n - i); ++k) {
        // A 32-bit draw scaled to [0, n) is uneven by n / 2^32 at most.
        const size_t row = (uint64_t{block[k]} * n) >> 32;
        total_over += over[row];
        total_under += under[row];
      }
    }
    if (!(total_under > 0)) return interval;
    ratios[replicate] = total_over / total_under;
  }
  // Student's t needs a degree of freedom, however uneven the weights.
  const double tail = TailMass(options.level, std::max(2.0, rows));
  interval.low = Quantile(ratios, tail);
  interval.high = Quantile(std::move(ratios), 1 - tail);
  return interval;
}

}  // namespace

Interval BootstrapMean(absl::Span<const double> values,
                       const BootstrapOptions& options) {
  return BootstrapWeightedMean(values, std::vector<double>(values.size(), 1.0),
                               options);
}

Interval BootstrapWeightedMean(absl::Span<const double> values,
                               absl::Span<const double> weights,
                               const BootstrapOptions& options) {
  CARACAL_CHECK_EQ(values.size(), weights.size());
  CARACAL_CHECK(options.resamples > 1) << options.resamples;
  CARACAL_CHECK(options.level > 0 && options.level < 1) << options.level;
  CARACAL_CHECK(values.size() <= std::numeric_limits<uint32_t>::max());
  Interval interval;
  const size_t n = values.size();
  if (n == 0) return interval;
  std::vector<double> products(n);
  double sum = 0, weight = 0, squares = 0;
  for (size_t i = 0; i < n; ++i) {
    CARACAL_CHECK(std::isfinite(weights[i]) && weights[i] > 0) << weights[i];
    products[i] = weights[i] * values[i];
    sum += products[i];
    weight += weights[i];
    squares += weights[i] * weights[i];
  }
  interval.mean = sum / weight;
  if (n == 1 || !std::isfinite(sum)) return interval;

  interval = WithBounds(interval, products, weights, weight * weight / squares,
                        options);
  return interval;
}

Interval BootstrapDifference(absl::Span<const double> a,
                             absl::Span<const double> b,
                             absl::Span<const double> weights,
                             const BootstrapOptions& options) {
  CARACAL_CHECK_EQ(a.size(), b.size());
  std::vector<double> differences(a.size());
  for (size_t i = 0; i < a.size(); ++i) differences[i] = a[i] - b[i];
  return BootstrapWeightedMean(differences, weights, options);
}

Interval BootstrapRatio(absl::Span<const double> a, absl::Span<const double> b,
                        absl::Span<const double> weights,
                        const BootstrapOptions& options) {
  CARACAL_CHECK_EQ(a.size(), b.size());
  CARACAL_CHECK_EQ(a.size(), weights.size());
  Interval interval;
  std::vector<double> over(a.size()), under(a.size());
  double sum_over = 0, sum_under = 0, weight = 0, squares = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    sum_over += over[i] = weights[i] * a[i];
    sum_under += under[i] = weights[i] * b[i];
    weight += weights[i];
    squares += weights[i] * weights[i];
  }
  if (!(sum_under > 0) || !std::isfinite(sum_over) ||
      !std::isfinite(sum_under)) {
    return interval;
  }
  interval.mean = sum_over / sum_under;
  if (a.size() < 2) return interval;
  return WithBounds(interval, over, under, weight * weight / squares, options);
}

}  // namespace caracal
