#include "core/model/ops/attention.h"

#include <cstring>

#include "core/model/ops/attention_parts.h"
#include "kernels/causal_attention/causal_attention.h"
#include "kernels/hybrid_attention/hybrid_attention.h"

namespace caracal {
namespace {

using kernels::CausalAttentionInputs;
using kernels::HybridAttentionInputs;

TensorView AsHeads(const LayerContext& layer, TensorView y) {
  return y.Reshaped({y.shape[0], layer.heads(), layer.head_dim()});
}

HybridAttentionInputs HybridInputs(const LayerContext& layer,
                                   const TokenBatch& batch, TensorView qkv,
                                   const uint8_t* terms) {
  const QkvViews views = SplitQkv(layer, qkv);
  HybridAttentionInputs in;
  in.q = views.q;
  in.k = views.k;
  in.v = views.v;
  BindFeatureMaps(layer, &in);
  in.offsets = batch.offsets;
  in.sequences = batch.sequences;
  in.terms = terms;
  return in;
}

CausalAttentionInputs CausalInputs(const LayerContext& layer,
                                   const TokenBatch& batch, TensorView qkv) {
  const QkvViews views = SplitQkv(layer, qkv);
  return {.q = views.q,
          .k = views.k,
          .v = views.v,
          .offsets = batch.offsets,
          .key_offsets = nullptr,
          .sequences = batch.sequences};
}

void RunCausal(Execution& exec, const CausalAttentionInputs& in, TensorView y,
               TensorView lse) {
  ArenaScope scratch(exec.arena);
  kernels::CausalAttentionForward(
      exec.ctx, in, y, lse,
      exec.arena->AllocateWorkspace(
          kernels::CausalAttentionWorkspaceBytes(exec.ctx, in)));
}

void RunHybrid(Execution& exec, const kernels::HybridAttentionConfig& config,
               const HybridAttentionInputs& in,
               const kernels::HybridAttentionOutputs& out) {
  ArenaScope scratch(exec.arena);
  kernels::HybridAttentionForward(
      exec.ctx, config, in, /*past=*/nullptr, out,
      exec.arena->AllocateWorkspace(
          kernels::HybridAttentionForwardWorkspaceBytes(exec.ctx, config, in)));
}

// Room for dq, dk, dv side by side, as qkv is.
void AllocateQkvGradient(Execution& exec, Variable* qkv) {
  qkv->grad =
      exec.arena->AllocateF32({qkv->value.shape[0], qkv->value.shape[1]});
}

class CausalGradient final : public Tape::Operation {
 public:
  CausalGradient(const LayerContext& layer, const TokenBatch& batch,
                 Variable* qkv, Variable* y, TensorView lse)
      : layer_(layer), batch_(batch), qkv_(qkv), y_(y), lse_(lse) {}

  void Backward(Execution& exec) override {
    AllocateQkvGradient(exec, qkv_);
    const QkvViews d = SplitQkv(layer_, qkv_->grad);
    const CausalAttentionInputs in = CausalInputs(layer_, batch_, qkv_->value);
    ArenaScope scratch(exec.arena);
    kernels::CausalAttentionBackward(
        exec.ctx, in, AsHeads(layer_, y_->value), lse_,
        AsHeads(layer_, y_->grad), d.q, d.k, d.v,
        exec.arena->AllocateWorkspace(
            kernels::CausalAttentionBackwardWorkspaceBytes(exec.ctx, in)));
  }

 private:
  LayerContext layer_;
  TokenBatch batch_;
  Variable* qkv_;
  Variable* y_;
  TensorView lse_;
};

void RunHybridBackward(Execution& exec, const LayerContext& layer,
                       const HybridAttentionInputs& in,
                       const kernels::HybridAttentionCotangent& cotangent,
                       const kernels::HybridAttentionGradients& grads) {
  const kernels::HybridAttentionConfig config = layer.attention();
  ArenaScope scratch(exec.arena);
  kernels::HybridAttentionBackward(
      exec.ctx, config, in, cotangent, grads,
      exec.arena->AllocateWorkspace(
          kernels::HybridAttentionBackwardWorkspaceBytes(exec.ctx, config, in,
                                                         grads)));
}

class HybridGradient final : public Tape::Operation {
 public:
  HybridGradient(const LayerContext& layer, const HybridAttentionInputs& in,
                 Variable* qkv, Variable* y)
      : layer_(layer), in_(in), qkv_(qkv), y_(y) {}

  void Backward(Execution& exec) override {
    AllocateQkvGradient(exec, qkv_);
    const QkvViews d = SplitQkv(layer_, qkv_->grad);
    kernels::HybridAttentionGradients grads = FeatureMapGradients(layer_);
    grads.dq = d.q;
    grads.dk = d.k;
    grads.dv = d.v;
    kernels::HybridAttentionCotangent cotangent;
    cotangent.dy = AsHeads(layer_, y_->grad);
    RunHybridBackward(exec, layer_, in_, cotangent, grads);
  }

 private:
  LayerContext layer_;
  HybridAttentionInputs in_;
  Variable* qkv_;
  Variable* y_;
};

// Runs each part alone on the same q, k, v: the joint denominator cancels in
// the share, and every mass follows from the parts' denominators.
void AddStatistics(Execution& exec, const LayerContext& layer,
                   const TokenBatch& batch, const HybridAttentionInputs& hybrid,
                   TensorView qkv, AttentionStatistics* statistics) {
  ArenaScope scratch(exec.arena);
  const int64_t rows = batch.rows(), heads = layer.heads();
  const int64_t dim = layer.head_dim();
  const kernels::HybridAttentionConfig config = layer.attention();
  const auto terms_everywhere = [&](uint8_t terms) {
    auto* all =
        static_cast<uint8_t*>(exec.arena->Allocate(batch.sequences * heads));
    std::memset(all, terms, batch.sequences * heads);
    return all;
  };
  AttentionParts parts;
  parts.soft_y = exec.arena->AllocateF32({rows, heads, dim});
  parts.linear_y = exec.arena->AllocateF32({rows, heads, dim});
  for (TensorView* v : {&parts.soft_max, &parts.soft_den, &parts.linear_den,
                        &parts.sinks_max, &parts.sinks_den, &parts.lse}) {
    *v = exec.arena->AllocateF32({heads, rows});
  }
  HybridAttentionInputs in = hybrid;
  in.terms = terms_everywhere(kernels::kSwaOnlyTerms);
  RunHybrid(exec, config, in,
            {.y = parts.soft_y,
             .row_max = parts.soft_max,
             .softmax_den = parts.soft_den,
             .linear_den = TensorView()});
  in.terms = terms_everywhere(kernels::kLaPastTerms);
  RunHybrid(exec, config, in,
            {.y = parts.linear_y,
             .row_max = TensorView(),
             .softmax_den = TensorView(),
             .linear_den = parts.linear_den});
  // Sink positions by themselves; where they are none of the softmax part's,
  // what is left of the linear part without them.
  const kernels::HybridAttentionConfig with_sinks = WithSinkPositions(config);
  const TensorView unused = exec.arena->AllocateF32({rows, heads, dim});
  in.terms = terms_everywhere(kernels::kFarSinkTerms);
  RunHybrid(exec, with_sinks, in,
            {.y = unused,
             .row_max = parts.sinks_max,
             .softmax_den = parts.sinks_den,
             .linear_den = TensorView()});
  if (config.sinks == 0) {
    parts.past_linear_den = exec.arena->AllocateF32({heads, rows});
    in.terms = terms_everywhere(kernels::kLaPastTerms);
    RunHybrid(exec, with_sinks, in,
              {.y = unused,
               .row_max = TensorView(),
               .softmax_den = TensorView(),
               .linear_den = parts.past_linear_den});
  }
  RunCausal(exec, CausalInputs(layer, batch, qkv), unused, parts.lse);
  parts.window_factor = in.window_factor;
  AddParts(layer.layer, config, batch, parts, statistics);
}

}  // namespace

Variable* Attend(Execution& exec, const LayerContext& layer,
                 const TokenBatch& batch, const ModePlan& plan, Variable* qkv,
                 AttentionStatistics* statistics) {
  Variable* y = exec.arena->New<Variable>();
  const int64_t rows = batch.rows();
  y->value = exec.arena->AllocateF32({rows, layer.heads() * layer.head_dim()});
  if (plan.full_softmax(layer.layer)) {
    const TensorView lse = exec.tape == nullptr
                               ? TensorView()
                               : exec.arena->AllocateF32({layer.heads(), rows});
    RunCausal(exec, CausalInputs(layer, batch, qkv->value),
              AsHeads(layer, y->value), lse);
    if (exec.tape != nullptr) {
      exec.tape->Record<CausalGradient>(layer, batch, qkv, y, lse);
    }
  } else {
    const HybridAttentionInputs in =
        HybridInputs(layer, batch, qkv->value, plan.terms(layer.layer));
    kernels::HybridAttentionOutputs out;
    out.y = AsHeads(layer, y->value);
    RunHybrid(exec, layer.attention(), in, out);
    if (statistics != nullptr) {
      AddStatistics(exec, layer, batch, in, qkv->value, statistics);
    }
    if (exec.tape != nullptr) {
      exec.tape->Record<HybridGradient>(layer, in, qkv, y);
    }
  }
  exec.CheckFinite(layer.layer, "attention", y->value);
  return y;
}

void BindFeatureMaps(const LayerContext& layer, HybridAttentionInputs* in) {
  const Adapters& adapters = *layer.adapters;
  in->weight_q = adapters.feature_map_q(layer.layer).step_value;
  in->weight_k = adapters.feature_map_k(layer.layer).step_value;
  in->bias_q = adapters.feature_bias_q(layer.layer).step_value;
  in->bias_k = adapters.feature_bias_k(layer.layer).step_value;
  in->window_factor = adapters.window_factor(layer.layer).step_value;
}

Variable* TeacherAttention(Execution& exec, const LayerContext& layer,
                           const TokenBatch& batch, Variable* qkv) {
  Variable* y = exec.arena->New<Variable>();
  y->value =
      exec.arena->AllocateF32({batch.rows(), layer.heads() * layer.head_dim()});
  RunCausal(exec, CausalInputs(layer, batch, qkv->value),
            AsHeads(layer, y->value), TensorView());
  exec.CheckFinite(layer.layer, "teacher attention", y->value);
  return y;
}

void TransferAttention(Execution& exec, const LayerContext& layer,
                       const TokenBatch& batch,
                       const TransferObjective& objective, const Variable& qkv,
                       const Variable& y, TransferSums* sums) {
  ArenaScope scratch(exec.arena);
  const int64_t entries = batch.sequences * layer.heads();
  auto* terms = static_cast<uint8_t*>(exec.arena->Allocate(entries));
  std::memset(terms, objective.terms, entries);
  const HybridAttentionInputs in = HybridInputs(layer, batch, qkv.value, terms);
  const kernels::HybridAttentionGradients grads = FeatureMapGradients(layer);
  if (objective.output_scale != 0) {
    kernels::HybridAttentionCotangent cotangent;
    cotangent.target = AsHeads(layer, y.value);
    cotangent.scale = objective.output_scale;
    cotangent.squared_error = &sums->squared_error;
    RunHybridBackward(exec, layer, in, cotangent, grads);
  }
  if (objective.weight_scale != 0) {
    const kernels::HybridAttentionConfig config = layer.attention();
    kernels::AttentionWeightLossBackward(
        exec.ctx, config, in, objective.weight_scale, grads, &sums->weights,
        exec.arena->AllocateWorkspace(
            kernels::AttentionWeightLossWorkspaceBytes(exec.ctx, config, in,
                                                       grads)));
  }
}

kernels::HybridAttentionGradients FeatureMapGradients(
    const LayerContext& layer) {
  kernels::HybridAttentionGradients grads;
  grads.dweight_q = layer.adapters->feature_map_q(layer.layer).step_grad;
  grads.dweight_k = layer.adapters->feature_map_k(layer.layer).step_grad;
  grads.dbias_q = layer.adapters->feature_bias_q(layer.layer).step_grad;
  grads.dbias_k = layer.adapters->feature_bias_k(layer.layer).step_grad;
  grads.dwindow_factor = layer.adapters->window_factor(layer.layer).step_grad;
  return grads;
}

}  // namespace caracal
