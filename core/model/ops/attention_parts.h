// What attention statistics are made of: each part of hybrid attention alone,
// on the same q, k, v. The joint denominator cancels in the share of an output,
// and every mass follows from the parts' denominators.
#ifndef CARACAL_CORE_MODEL_OPS_ATTENTION_PARTS_H_
#define CARACAL_CORE_MODEL_OPS_ATTENTION_PARTS_H_

#include "core/model/attention_statistics.h"
#include "core/model/token_batch.h"
#include "kernels/hybrid_attention/hybrid_attention.h"

namespace caracal {

// fp32 in host memory; outputs [rows, H, D], the others [H, rows].
struct AttentionParts {
  TensorView soft_y, soft_max, soft_den;  // kSwaOnlyTerms
  TensorView linear_y, linear_den;        // kLaPastTerms
  TensorView sinks_max, sinks_den;        // kFarSinkTerms, WithSinkPositions
  // kLaPastTerms, WithSinkPositions; undefined where attention has sinks.
  TensorView past_linear_den;
  TensorView lse;                 // of full causal attention
  ConstTensorView window_factor;  // [H]
};

// With kSinkPositions for sinks where there are none.
inline kernels::HybridAttentionConfig WithSinkPositions(
    kernels::HybridAttentionConfig config) {
  if (config.sinks == 0) config.sinks = kSinkPositions;
  return config;
}

// Adds the rows of a batch to a layer's statistics.
void AddParts(int layer, const kernels::HybridAttentionConfig& config,
              const TokenBatch& batch, const AttentionParts& parts,
              AttentionStatistics* statistics);

}  // namespace caracal

#endif  // CARACAL_CORE_MODEL_OPS_ATTENTION_PARTS_H_
