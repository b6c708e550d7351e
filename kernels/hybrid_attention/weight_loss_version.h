// One version of the attention-weight loss: the scalar reference's or one
// instruction set's, and the task it runs.
#ifndef CARACAL_KERNELS_HYBRID_ATTENTION_WEIGHT_LOSS_VERSION_H_
#define CARACAL_KERNELS_HYBRID_ATTENTION_WEIGHT_LOSS_VERSION_H_

#include "kernels/hybrid_attention/hybrid_attention_args.h"
#include "kernels/hybrid_attention/weight_loss.h"

namespace caracal::kernels {

// Of one (sequence, head): `scale` and the parameters' shares of `gradient`
// are used, as in the backward; the sums are assigned to *loss.
struct WeightLossVersion {
  size_t (*arena)(const HybridAttentionArgs<float>& args, int64_t longest);
  void (*run)(const HybridAttentionArgs<float>& args,
              const HybridAttentionBackwardTask<float>& gradient,
              AttentionWeightLoss* loss, void* arena);
};

extern const WeightLossVersion kWeightLossReference;
namespace avx2 {
extern const WeightLossVersion kWeightLossVersion;
}
namespace avx512 {
extern const WeightLossVersion kWeightLossVersion;
}

}  // namespace caracal::kernels

#endif  // CARACAL_KERNELS_HYBRID_ATTENTION_WEIGHT_LOSS_VERSION_H_
