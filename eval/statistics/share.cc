#include "eval/statistics/share.h"

#include <algorithm>
#include <cmath>
#include <cstddef>

#include "eval/statistics/distribution.h"
#include "kernels/common/check.h"

namespace caracal {
namespace {

// The independent answers that these are worth.
double EffectiveAnswers(absl::Span<const double> right,
                        absl::Span<const double> answers, double share,
                        double total) {
  double groups = 0, squares = 0, deviations = 0;
  for (size_t i = 0; i < right.size(); ++i) {
    if (answers[i] == 0) continue;
    ++groups;
    squares += answers[i] * answers[i];
    const double deviation = right[i] - share * answers[i];
    deviations += deviation * deviation;
  }
  // Answers per group as the variance of a ratio of sums sees them.
  const double most = squares / total;
  const double binomial = share * (1 - share);
  if (binomial == 0 || groups < 2) return total / most;
  const double effect = deviations * groups / (groups - 1) / (total * binomial);
  return total / std::clamp(effect, 1.0, std::max(1.0, most));
}

}  // namespace

Interval ShareInterval(absl::Span<const double> right,
                       absl::Span<const double> answers, double level) {
  CARACAL_CHECK_EQ(right.size(), answers.size());
  CARACAL_CHECK(level > 0 && level < 1) << level;
  double hits = 0, total = 0;
  for (size_t i = 0; i < right.size(); ++i) {
    CARACAL_CHECK(right[i] >= 0 && right[i] <= answers[i]) << right[i];
    hits += right[i];
    total += answers[i];
  }
  Interval interval;
  if (total == 0) return interval;
  const double p = interval.mean = hits / total;
  const double n = EffectiveAnswers(right, answers, p, total);
  const double z = NormalUpperQuantile((1 - level) / 2), z2 = z * z;
  const double middle = (p + z2 / (2 * n)) / (1 + z2 / n);
  const double half =
      z / (1 + z2 / n) * std::sqrt(p * (1 - p) / n + z2 / (4 * n * n));
  // Rounding must not push an end beyond what the formula touches.
  interval.low = p == 0 ? 0 : std::max(0.0, middle - half);
  interval.high = p == 1 ? 1 : std::min(1.0, middle + half);
  return interval;
}

Interval ShareDifference(const Interval& a, const Interval& b) {
  Interval difference;
  if (!a.measured() || !b.measured()) return difference;
  difference.mean = a.mean - b.mean;
  difference.low =
      difference.mean - std::hypot(a.mean - a.low, b.high - b.mean);
  difference.high =
      difference.mean + std::hypot(a.high - a.mean, b.mean - b.low);
  return difference;
}

}  // namespace caracal
