// Quantiles by selection: two order statistics and a line between them.
#include "eval/statistics/quantile.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <utility>

#include "kernels/common/check.h"

namespace caracal {

double Quantile(std::vector<double> values, double q) {
  CARACAL_CHECK(!values.empty());
  CARACAL_CHECK(q >= 0 && q <= 1) << "q " << q;
  const double rank = q * static_cast<double>(values.size() - 1);
  const size_t below = static_cast<size_t>(std::floor(rank));
  const auto at = values.begin() + static_cast<std::ptrdiff_t>(below);
  std::nth_element(values.begin(), at, values.end());
  if (below + 1 == values.size()) return *at;
  const double above = *std::min_element(at + 1, values.end());
  return *at + (rank - static_cast<double>(below)) * (above - *at);
}

double Median(std::vector<double> values) {
  return Quantile(std::move(values), 0.5);
}

}  // namespace caracal
