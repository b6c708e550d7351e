#include "core/model/ops/attention.h"

#include <cmath>
#include <cstring>

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

kernels::HybridAttentionGradients ParameterGradients(
    const LayerContext& layer) {
  kernels::HybridAttentionGradients grads;
  grads.dweight_q = layer.adapters->feature_map_q(layer.layer).grad;
  grads.dweight_k = layer.adapters->feature_map_k(layer.layer).grad;
  grads.dbias_q = layer.adapters->feature_bias_q(layer.layer).grad;
  grads.dbias_k = layer.adapters->feature_bias_k(layer.layer).grad;
  grads.dwindow_factor = layer.adapters->window_factor(layer.layer).grad;
  return grads;
}

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
    kernels::HybridAttentionGradients grads = ParameterGradients(layer_);
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

double Norm(const float* x, int64_t n) {
  double sum = 0;
  for (int64_t i = 0; i < n; ++i) sum += static_cast<double>(x[i]) * x[i];
  return std::sqrt(sum);
}

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
  HybridAttentionInputs in = hybrid;
  kernels::HybridAttentionOutputs soft, linear;
  soft.y = exec.arena->AllocateF32({rows, heads, dim});
  soft.row_max = exec.arena->AllocateF32({heads, rows});
  soft.softmax_den = exec.arena->AllocateF32({heads, rows});
  in.terms = terms_everywhere(kernels::kSwaOnlyTerms);
  RunHybrid(exec, config, in, soft);
  linear.y = exec.arena->AllocateF32({rows, heads, dim});
  linear.linear_den = exec.arena->AllocateF32({heads, rows});
  in.terms = terms_everywhere(kernels::kLaPastTerms);
  RunHybrid(exec, config, in, linear);
  // Sink positions by themselves; where they are none of the softmax part's,
  // what is left of the linear part without them.
  kernels::HybridAttentionConfig with_sinks = config;
  if (config.sinks == 0) with_sinks.sinks = kSinkPositions;
  kernels::HybridAttentionOutputs sinks, past;
  sinks.y = exec.arena->AllocateF32({rows, heads, dim});
  sinks.row_max = exec.arena->AllocateF32({heads, rows});
  sinks.softmax_den = exec.arena->AllocateF32({heads, rows});
  in.terms = terms_everywhere(kernels::kFarSinkTerms);
  RunHybrid(exec, with_sinks, in, sinks);
  if (config.sinks == 0) {
    past.y = sinks.y;
    past.linear_den = exec.arena->AllocateF32({heads, rows});
    in.terms = terms_everywhere(kernels::kLaPastTerms);
    RunHybrid(exec, with_sinks, in, past);
  }
  const TensorView teacher_y = exec.arena->AllocateF32({rows, heads, dim});
  const TensorView lse = exec.arena->AllocateF32({heads, rows});
  RunCausal(exec, CausalInputs(layer, batch, qkv), teacher_y, lse);

  const float* window_factor = in.window_factor.f32();
  for (int64_t h = 0; h < heads; ++h) {
    const double log_gamma = -std::log1p(std::exp(-window_factor[h]));
    for (int64_t s = 0; s < batch.sequences; ++s) {
      for (int64_t r = batch.offsets[s]; r < batch.offsets[s + 1]; ++r) {
        const int64_t length = batch.offsets[s + 1] - batch.offsets[s];
        if (LinearSetEmpty(config, r - batch.offsets[s], length)) continue;
        const int64_t i = h * rows + r;
        const double s_den = soft.softmax_den.f32()[i];
        const double l_den = linear.linear_den.f32()[i];
        const double l_norm =
            l_den * Norm(linear.y.f32() + (r * heads + h) * dim, dim);
        const double s_norm =
            s_den * Norm(soft.y.f32() + (r * heads + h) * dim, dim);
        // log of the softmax mass of A_n, on the scale of the full one.
        const double log_inside =
            soft.row_max.f32()[i] + std::log(s_den) - log_gamma - lse.f32()[i];
        const double sink_den = sinks.softmax_den.f32()[i];
        const double student_sinks =
            config.sinks > 0 ? sink_den : l_den - past.linear_den.f32()[i];
        statistics->Add(
            layer.layer, h, r - batch.offsets[s],
            {.la_mass = l_den / (s_den + l_den),
             .la_output_share = l_norm / (l_norm + s_norm),
             .teacher_out_mass = std::max(0.0, -std::expm1(log_inside)),
             .sink_mass = std::max(0.0, student_sinks / (s_den + l_den)),
             .teacher_sink_mass =
                 sink_den == 0
                     ? 0
                     : std::exp(sinks.row_max.f32()[i] + std::log(sink_den) -
                                log_gamma - lse.f32()[i])});
      }
    }
  }
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
  in->weight_q = adapters.feature_map_q(layer.layer).value;
  in->weight_k = adapters.feature_map_k(layer.layer).value;
  in->bias_q = adapters.feature_bias_q(layer.layer).value;
  in->bias_k = adapters.feature_bias_k(layer.layer).value;
  in->window_factor = adapters.window_factor(layer.layer).value;
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
  const HybridAttentionInputs in =
      HybridInputs(layer, batch, qkv.value, terms);
  const kernels::HybridAttentionGradients grads = ParameterGradients(layer);
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

}  // namespace caracal
