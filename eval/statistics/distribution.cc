#include "eval/statistics/distribution.h"

#include <cmath>

namespace caracal {

double NormalCdf(double z) { return 0.5 * std::erfc(-z / std::sqrt(2.0)); }

// By bisection: called once an interval, so plain beats fast.
double NormalUpperQuantile(double p) {
  double low = 0, high = 40;
  for (int i = 0; i < 100; ++i) {
    const double middle = 0.5 * (low + high);
    (NormalCdf(-middle) > p ? low : high) = middle;
  }
  return 0.5 * (low + high);
}

// The Cornish-Fisher series in 1/df (Abramowitz & Stegun 26.7.5), three terms;
// for 1 and 2, where it is far off, the distribution function solved for t.
double StudentUpperQuantile(double p, double df) {
  if (df == 1) return 1 / std::tan(std::acos(-1.0) * p);
  if (df == 2) {
    const double a = 1 - 2 * p;
    return a * std::sqrt(2 / (1 - a * a));
  }
  const double z = NormalUpperQuantile(p), z2 = z * z;
  const double g1 = z * (z2 + 1) / 4;
  const double g2 = z * ((5 * z2 + 16) * z2 + 3) / 96;
  const double g3 = z * (((3 * z2 + 19) * z2 + 17) * z2 - 15) / 384;
  return z + (g1 + (g2 + g3 / df) / df) / df;
}

}  // namespace caracal
