// Checks the views of a hybrid attention call against the contract and turns
// them into plain pointers. A mismatch is a bug of the caller: it aborts.
#ifndef CARACAL_KERNELS_HYBRID_ATTENTION_BIND_ARGS_H_
#define CARACAL_KERNELS_HYBRID_ATTENTION_BIND_ARGS_H_

#include "kernels/common/tensor_view.h"
#include "kernels/hybrid_attention/hybrid_attention.h"
#include "kernels/hybrid_attention/hybrid_attention_args.h"

namespace caracal::kernels {

// The inputs only.
HybridAttentionArgs<float> BindInputs(const HybridAttentionConfig& config,
                                      const HybridAttentionInputs& in);

// The past and the outputs of a forward.
void BindPast(const HybridAttentionPast& past,
              HybridAttentionArgs<float>& args);
void BindOutputs(const HybridAttentionOutputs& out,
                 HybridAttentionArgs<float>& args);

// Rows of the longest sequence.
int64_t LongestSequence(const HybridAttentionInputs& in);

// A contiguous view of `size` elements, or null if it is undefined.
float* BindFlat(TensorView view, int64_t size);
const float* BindFlat(ConstTensorView view, int64_t size);

}  // namespace caracal::kernels

#endif  // CARACAL_KERNELS_HYBRID_ATTENTION_BIND_ARGS_H_
