#include "kernels/adamw/adamw_ref.h"

#include <cmath>

namespace caracal::kernels {
namespace {

// Rounds where PyTorch's vectorised loops round, fused multiply-adds of the
// moments included. (Its square root, MKL's, is not always the nearest.)
void Step(const AdamWCoefficients& k, const float* grad, int64_t n,
          float* param, float* m, float* v) {
  for (int64_t i = 0; i < n; ++i) {
    const float g = grad[i] * k.grad_scale;
    const float p = param[i] * k.decay;
    m[i] = std::fma(k.one_minus_beta1, g - m[i], m[i]);
    v[i] = std::fma(k.one_minus_beta2 * g, g, v[i] * k.beta2);
    const float denominator = std::sqrt(v[i]) / k.sqrt_correction2 + k.epsilon;
    param[i] = p + k.negative_step * m[i] / denominator;
  }
}

double SumOfSquares(const float* x, int64_t n) {
  double sum = 0;
  for (int64_t i = 0; i < n; ++i) sum += double{x[i]} * x[i];
  return sum;
}

bool AllFinite(const float* x, int64_t n) {
  for (int64_t i = 0; i < n; ++i) {
    if (!std::isfinite(x[i])) return false;
  }
  return true;
}

void Accumulate(const float* x, int64_t n, float* y) {
  for (int64_t i = 0; i < n; ++i) y[i] += x[i];
}

}  // namespace

const AdamWLoops kAdamWReference = {Step, SumOfSquares, AllFinite, Accumulate};

}  // namespace caracal::kernels
