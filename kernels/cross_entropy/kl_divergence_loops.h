// The inner loops of the KL divergence, one set an instruction set.
#ifndef CARACAL_KERNELS_CROSS_ENTROPY_KL_DIVERGENCE_LOOPS_H_
#define CARACAL_KERNELS_CROSS_ENTROPY_KL_DIVERGENCE_LOOPS_H_

#include <cstdint>

#include "kernels/cross_entropy/kl_divergence.h"

namespace caracal::kernels {

// One row: n logits of the student and the teacher, and their lse.
template <typename T>
struct KlRow {
  KlDirection direction;
  int64_t n;
  const T* logits;
  T lse, teacher_lse;
};

struct KlLoops {
  float (*divergence)(const KlRow<float>& row, const float* teacher);
  void (*gradient)(const KlRow<float>& row, float kl, float weight,
                   float* teacher);
};

extern const KlLoops kKlReference;
namespace avx2 {
extern const KlLoops kKlLoops;
}
namespace avx512 {
extern const KlLoops kKlLoops;
}

}  // namespace caracal::kernels

#endif  // CARACAL_KERNELS_CROSS_ENTROPY_KL_DIVERGENCE_LOOPS_H_
