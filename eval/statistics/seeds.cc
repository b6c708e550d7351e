#include "eval/statistics/seeds.h"

#include <cmath>
#include <cstddef>

#include "eval/statistics/distribution.h"
#include "kernels/common/check.h"

namespace caracal {
namespace {

std::vector<double> MeanOverSeeds(const SeedsAndRows& values) {
  std::vector<double> mean(values[0].size());
  for (const std::vector<double>& rows : values) {
    CARACAL_CHECK_EQ(rows.size(), mean.size());
    for (size_t i = 0; i < rows.size(); ++i) {
      mean[i] += rows[i] / static_cast<double>(values.size());
    }
  }
  return mean;
}

double WeightedSum(absl::Span<const double> values,
                   absl::Span<const double> weights) {
  CARACAL_CHECK_EQ(values.size(), weights.size());
  double sum = 0;
  for (size_t i = 0; i < values.size(); ++i) sum += weights[i] * values[i];
  return sum;
}

// Each seed's weighted mean over rows.
std::vector<double> OfSeeds(const SeedsAndRows& values,
                            absl::Span<const double> weights) {
  double total = 0;
  for (const double weight : weights) total += weight;
  std::vector<double> of_seeds;
  for (const std::vector<double>& rows : values) {
    of_seeds.push_back(WeightedSum(rows, weights) / total);
  }
  return of_seeds;
}

}  // namespace

Interval WidenBySeeds(Interval interval, absl::Span<const double> of_seeds,
                      double level) {
  if (of_seeds.size() < 2 || !interval.bounded()) return interval;
  const auto n = static_cast<double>(of_seeds.size());
  double mean = 0, squares = 0;
  for (const double value : of_seeds) mean += value / n;
  for (const double value : of_seeds) {
    squares += (value - mean) * (value - mean);
  }
  const double half = StudentUpperQuantile((1 - level) / 2, n - 1) *
                      std::sqrt(squares / (n - 1) / n);
  interval.low = interval.mean - std::hypot(interval.mean - interval.low, half);
  interval.high =
      interval.mean + std::hypot(interval.high - interval.mean, half);
  return interval;
}

Interval SeedsMean(const SeedsAndRows& values, absl::Span<const double> weights,
                   const BootstrapOptions& options) {
  if (values.empty()) return {};
  return WidenBySeeds(
      BootstrapWeightedMean(MeanOverSeeds(values), weights, options),
      OfSeeds(values, weights), options.level);
}

Interval SeedsRatio(const SeedsAndRows& a, const SeedsAndRows& b,
                    absl::Span<const double> weights,
                    const BootstrapOptions& options) {
  CARACAL_CHECK_EQ(a.size(), b.size());
  if (a.empty()) return {};
  std::vector<double> of_seeds;
  for (size_t s = 0; s < a.size(); ++s) {
    of_seeds.push_back(WeightedSum(a[s], weights) / WeightedSum(b[s], weights));
  }
  return WidenBySeeds(
      BootstrapRatio(MeanOverSeeds(a), MeanOverSeeds(b), weights, options),
      of_seeds, options.level);
}

Interval SeedsDifference(const SeedsAndRows& a, const SeedsAndRows& b,
                         absl::Span<const double> weights,
                         const BootstrapOptions& options) {
  if (a.empty() || b.empty()) return {};
  const Interval rows =
      BootstrapDifference(MeanOverSeeds(a), MeanOverSeeds(b), weights, options);
  return WidenBySeeds(WidenBySeeds(rows, OfSeeds(a, weights), options.level),
                      OfSeeds(b, weights), options.level);
}

}  // namespace caracal
