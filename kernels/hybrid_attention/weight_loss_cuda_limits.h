// What the attention-weight loss takes on a CUDA device; also for those who
// have none and check a job for one that has.
#ifndef CARACAL_KERNELS_HYBRID_ATTENTION_WEIGHT_LOSS_CUDA_LIMITS_H_
#define CARACAL_KERNELS_HYBRID_ATTENTION_WEIGHT_LOSS_CUDA_LIMITS_H_

#include <cstdint>

namespace caracal::kernels {

// Outputs of a feature map, of heads of D dimensions: tiles of features and of
// q and k have to fit a block's shared memory together.
constexpr int64_t WeightLossCudaMostFeatures(int64_t D) {
  return D <= 128 ? 512 : 256;
}

}  // namespace caracal::kernels

#endif  // CARACAL_KERNELS_HYBRID_ATTENTION_WEIGHT_LOSS_CUDA_LIMITS_H_
