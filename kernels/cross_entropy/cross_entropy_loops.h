// The inner loops of cross-entropy, one set an instruction set.
#ifndef CARACAL_KERNELS_CROSS_ENTROPY_CROSS_ENTROPY_LOOPS_H_
#define CARACAL_KERNELS_CROSS_ENTROPY_CROSS_ENTROPY_LOOPS_H_

#include <cstdint>

namespace caracal::kernels {

struct CrossEntropyLoops {
  // Maximum of one row (n >= 1), index of its first occurrence, and the sum of
  // exp(logit - maximum).
  void (*statistics)(const float* logits, int64_t n, float* row_max,
                     float* sum_exp, int64_t* argmax);
  // logits[i] <- weight exp(logits[i] - lse).
  void (*gradient)(float* logits, int64_t n, float lse, float weight);
};

}  // namespace caracal::kernels

#endif  // CARACAL_KERNELS_CROSS_ENTROPY_CROSS_ENTROPY_LOOPS_H_
