// Scalar reference of cross-entropy: the specification of the fast versions.
#ifndef CARACAL_KERNELS_CROSS_ENTROPY_CROSS_ENTROPY_REF_H_
#define CARACAL_KERNELS_CROSS_ENTROPY_CROSS_ENTROPY_REF_H_

#include <cmath>
#include <complex>
#include <cstdint>

#include "kernels/cross_entropy/cross_entropy_loops.h"

namespace caracal::kernels {

// T is float, double, or complex for gradient checks (ordered by real part).
template <typename T>
void CrossEntropyStatisticsReference(const T* logits, int64_t n, T* row_max,
                                     T* sum_exp, int64_t* argmax) {
  using std::exp;
  using std::real;
  int64_t best = 0;
  for (int64_t i = 1; i < n; ++i) {
    if (real(logits[i]) > real(logits[best])) best = i;
  }
  T sum = T(0);
  for (int64_t i = 0; i < n; ++i) sum += exp(logits[i] - logits[best]);
  *row_max = logits[best];
  *sum_exp = sum;
  *argmax = best;
}

template <typename T>
void CrossEntropyGradientReference(T* logits, int64_t n, T lse, T weight) {
  using std::exp;
  for (int64_t i = 0; i < n; ++i) logits[i] = weight * exp(logits[i] - lse);
}

extern const CrossEntropyLoops kCrossEntropyReference;

}  // namespace caracal::kernels

#endif  // CARACAL_KERNELS_CROSS_ENTROPY_CROSS_ENTROPY_REF_H_
