// The inner loops of AdamW and its companions, one set an instruction set.
#ifndef CARACAL_KERNELS_ADAMW_ADAMW_LOOPS_H_
#define CARACAL_KERNELS_ADAMW_ADAMW_LOOPS_H_

#include <cstdint>

namespace caracal::kernels {

// One step's constants, rounded to fp32 after being computed in fp64.
struct AdamWCoefficients {
  float grad_scale;
  float decay;            // 1 - lr weight_decay
  float one_minus_beta1;  // below 1/2
  float beta2;
  float one_minus_beta2;
  float sqrt_correction2;  // sqrt(1 - beta2^t)
  float epsilon;
  float negative_step;  // -lr / (1 - beta1^t)
};

struct AdamWLoops {
  void (*step)(const AdamWCoefficients& k, const float* grad, int64_t n,
               float* param, float* m, float* v);
  double (*sum_of_squares)(const float* x, int64_t n);
  bool (*all_finite)(const float* x, int64_t n);
  void (*accumulate)(const float* x, int64_t n, float* y);
};

}  // namespace caracal::kernels

#endif  // CARACAL_KERNELS_ADAMW_ADAMW_LOOPS_H_
