// The normal distribution and Student's, as far as intervals need them.
#ifndef CARACAL_EVAL_STATISTICS_DISTRIBUTION_H_
#define CARACAL_EVAL_STATISTICS_DISTRIBUTION_H_

namespace caracal {

// P(Z <= z) of the standard normal.
double NormalCdf(double z);

// The z above which the standard normal has the mass p, p in (0, 0.5).
double NormalUpperQuantile(double p);

// The same of Student's t with `df` >= 1 degrees of freedom: exact for 1 and 2,
// within a hundredth of its value from 3 on, low between.
double StudentUpperQuantile(double p, double df);

}  // namespace caracal

#endif  // CARACAL_EVAL_STATISTICS_DISTRIBUTION_H_
