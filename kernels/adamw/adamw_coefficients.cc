#include "kernels/adamw/adamw_coefficients.h"

#include <cmath>

#include "kernels/common/check.h"

namespace caracal::kernels {

AdamWCoefficients AdamWCoefficientsOf(const AdamWConfig& config) {
  CARACAL_CHECK(config.step >= 1) << "step " << config.step;
  const double step = static_cast<double>(config.step);
  const double correction1 = 1 - std::pow(config.beta1, step);
  const double correction2 = 1 - std::pow(config.beta2, step);
  AdamWCoefficients k;
  k.grad_scale = static_cast<float>(config.grad_scale);
  k.decay = static_cast<float>(1 - config.lr * config.weight_decay);
  k.one_minus_beta1 = static_cast<float>(1 - config.beta1);
  k.beta2 = static_cast<float>(config.beta2);
  k.one_minus_beta2 = static_cast<float>(1 - config.beta2);
  k.sqrt_correction2 = static_cast<float>(std::sqrt(correction2));
  k.epsilon = static_cast<float>(config.epsilon);
  k.negative_step = static_cast<float>(-(config.lr / correction1));
  return k;
}

}  // namespace caracal::kernels
