// Scalar reference of the KL divergence: the specification. T is float,
// double, or std::complex<double> for complex-step derivatives.
#ifndef CARACAL_KERNELS_CROSS_ENTROPY_KL_DIVERGENCE_REF_H_
#define CARACAL_KERNELS_CROSS_ENTROPY_KL_DIVERGENCE_REF_H_

#include <cmath>
#include <complex>

#include "kernels/cross_entropy/kl_divergence_loops.h"

namespace caracal::kernels {

template <typename T>
T KlDivergenceReference(const KlRow<T>& row, const T* teacher) {
  T sum = T(0);
  for (int64_t j = 0; j < row.n; ++j) {
    const T log_q = row.logits[j] - row.lse;
    const T log_p = teacher[j] - row.teacher_lse;
    sum += row.direction == KlDirection::kForward
               ? std::exp(log_p) * (log_p - log_q)
               : std::exp(log_q) * (log_q - log_p);
  }
  return sum;
}

template <typename T>
void KlGradientReference(const KlRow<T>& row, T kl, T weight, T* teacher) {
  for (int64_t j = 0; j < row.n; ++j) {
    const T log_q = row.logits[j] - row.lse;
    const T log_p = teacher[j] - row.teacher_lse;
    const T q = std::exp(log_q);
    teacher[j] = weight * (row.direction == KlDirection::kForward
                               ? q - std::exp(log_p)
                               : q * (log_q - log_p - kl));
  }
}

}  // namespace caracal::kernels

#endif  // CARACAL_KERNELS_CROSS_ENTROPY_KL_DIVERGENCE_REF_H_
