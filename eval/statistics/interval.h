// A measured mean with its confidence interval: what every figure of the
// attribution report carries.
#ifndef CARACAL_EVAL_STATISTICS_INTERVAL_H_
#define CARACAL_EVAL_STATISTICS_INTERVAL_H_

#include <cmath>
#include <limits>

namespace caracal {

// NaN bounds mean that no interval can be had (fewer than two rows); NaN in
// all three means that nothing was measured. Units are those of the values.
struct Interval {
  double mean = std::numeric_limits<double>::quiet_NaN();
  double low = std::numeric_limits<double>::quiet_NaN();
  double high = std::numeric_limits<double>::quiet_NaN();

  bool measured() const { return std::isfinite(mean); }
  bool bounded() const { return std::isfinite(low) && std::isfinite(high); }
  // False for an interval that could not be had, as comparisons with NaN are.
  bool above_zero() const { return low > 0; }
  bool below_zero() const { return high < 0; }
  bool excludes_zero() const { return above_zero() || below_zero(); }
};

}  // namespace caracal

#endif  // CARACAL_EVAL_STATISTICS_INTERVAL_H_
