// Sample quantiles.
#ifndef CARACAL_EVAL_STATISTICS_QUANTILE_H_
#define CARACAL_EVAL_STATISTICS_QUANTILE_H_

#include <vector>

namespace caracal {

// The q-quantile, q in [0, 1], by linear interpolation between order
// statistics (type 7 of Hyndman & Fan 1996, what NumPy does by default).
// Reorders a copy: O(n). `values` must not be empty nor hold NaN.
double Quantile(std::vector<double> values, double q);

double Median(std::vector<double> values);

}  // namespace caracal

#endif  // CARACAL_EVAL_STATISTICS_QUANTILE_H_
