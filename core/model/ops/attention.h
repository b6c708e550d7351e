// The attention operation of a layer, in every component mode.
#ifndef CARACAL_CORE_MODEL_OPS_ATTENTION_H_
#define CARACAL_CORE_MODEL_OPS_ATTENTION_H_

#include "core/model/attention_statistics.h"
#include "core/model/mode_plan.h"
#include "core/model/ops/layer.h"
#include "kernels/hybrid_attention/weight_loss.h"

namespace caracal {

// qkv [rows, (H + 2 Hkv) D], RoPE applied -> y [rows, H D], by the plan's mode
// of this layer. `statistics` may be null; where it is not, the layer must run
// in hybrid, and masses are added to it.
// Gradient: assigns qkv's; feature maps and window factors accumulate theirs
// where they are trained.
Variable* Attend(Execution& exec, const LayerContext& layer,
                 const TokenBatch& batch, const ModePlan& plan, Variable* qkv,
                 AttentionStatistics* statistics);

// Attention transfer of one layer: the student's attention learns to match the
// teacher's on the same q, k and v. The gradients are those of
//   output_scale / 2 * sum (y_student - y_teacher)^2
//     + weight_scale * sum xent
// (kernels/hybrid_attention/weight_loss.h); what has scale 0 is not computed.
struct TransferObjective {
  uint8_t terms = kernels::kHybridTerms;  // the student's mode
  float output_scale = 0;
  float weight_scale = 0;
};
// Sums over one layer's rows and heads, added to.
struct TransferSums {
  double squared_error = 0;  // over [rows, H, D]
  kernels::AttentionWeightLoss weights;
};
// The teacher's y [rows, H D]: what goes on to the next layer.
Variable* TeacherAttention(Execution& exec, const LayerContext& layer,
                           const TokenBatch& batch, Variable* qkv);
// `y` is the teacher's, of the same q, k and v.
void TransferAttention(Execution& exec, const LayerContext& layer,
                       const TokenBatch& batch,
                       const TransferObjective& objective, const Variable& qkv,
                       const Variable& y, TransferSums* sums);

// The layer's feature maps and window factors, as the kernels take them.
void BindFeatureMaps(const LayerContext& layer,
                     kernels::HybridAttentionInputs* in);

// Gradients of those that are trained.
kernels::HybridAttentionGradients FeatureMapGradients(
    const LayerContext& layer);

}  // namespace caracal

#endif  // CARACAL_CORE_MODEL_OPS_ATTENTION_H_
