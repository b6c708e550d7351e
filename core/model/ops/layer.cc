#include "core/model/ops/layer.h"

#include <algorithm>
#include <cstring>

#include "core/model/ops/stream.h"
#include "kernels/adamw/adamw.h"
#include "kernels/matmul/matmul.h"
#include "kernels/rms_norm/rms_norm.h"
#include "kernels/rope/rope.h"
#include "kernels/swiglu/swiglu.h"

namespace caracal {
namespace {

// Where an operation adds to the residual stream: in place, or with a tape
// into a copy, since the gradient needs the stream as it was.
Variable* ResidualCopy(Execution& exec, Variable* x) {
  if (exec.tape == nullptr) return x;
  Variable* out = exec.arena->New<Variable>(*x);
  out->needs_grad = true;
  out->value = exec.arena->AllocateF32({x->value.shape[0], x->value.shape[1]});
  std::memcpy(out->value.data, x->value.data, x->value.size() * sizeof(float));
  return out;
}

// residual += x W^T (+ LoRA), summed over the tensor-parallel group.
//   x [rows, in], residual [stream rows, C]
void AddProjection(Execution& exec, const Projection& projection,
                   ConstTensorView x, TensorView residual,
                   const ProjectionSaved& saved) {
  if (exec.collective->size() == 1) {
    ProjectForward(exec, projection, x, 1.0f, residual, saved);
    return;
  }
  ArenaScope scratch(exec.arena);
  const TensorView partial =
      exec.arena->AllocateF32({x.shape[0], residual.shape[1]});
  ProjectForward(exec, projection, x, 0.0f, partial, saved);
  const TensorView mine = MyRows(exec, partial);
  SumRows(exec, partial, mine);
  kernels::Accumulate(exec.ctx, mine, residual);
}

struct Normed {
  TensorView y;        // [rows, C]
  TensorView inv_rms;  // [rows]
};

bool HasLora(const Projection& projection) {
  return std::any_of(projection.lora.begin(), projection.lora.end(),
                     [](const LoraSlot& slot) { return slot.active(); });
}

Normed Norm(Execution& exec, const Tensor& weight, float epsilon,
            ConstTensorView x) {
  Normed out;
  out.inv_rms = exec.arena->AllocateF32({x.shape[0]});
  out.y = exec.arena->AllocateF32({x.shape[0], x.shape[1]});
  kernels::RmsNormForward(exec.ctx, x, weight, epsilon, out.y, out.inv_rms);
  return out;
}

// The gradient of the norm and the projection behind it, into x's gradient.
//   dy [rows, out], x [stream rows, C]
void NormProjectBackward(Execution& exec, const Projection& projection,
                         const Tensor& norm_weight, float epsilon,
                         const ProjectionSaved& saved, ConstTensorView dy,
                         Variable* x) {
  // The normalised rows are made again: cheaper than keeping them. Only
  // adapters look at those of other ranks.
  const int64_t rows = dy.shape[0];
  const Normed normed = Norm(exec, norm_weight, epsilon, x->value);
  const ConstTensorView all = HasLora(projection)
                                  ? GatherRows(exec, normed.y, rows)
                                  : ConstTensorView(normed.y);
  if (!x->needs_grad) {
    ProjectBackward(exec, projection, dy, all, saved, TensorView());
    return;
  }
  const TensorView dn = exec.arena->AllocateF32({rows, x->value.shape[1]});
  ProjectBackward(exec, projection, dy, all, saved, dn);
  const TensorView mine = MyRows(exec, dn);
  SumRows(exec, dn, mine);
  kernels::RmsNormBackward(exec.ctx, mine, x->value, norm_weight,
                           normed.inv_rms, /*accumulate_dx=*/true, x->grad,
                           TensorView());
}

void RotateQk(Execution& exec, const LayerContext& layer,
              const TokenBatch& batch, TensorView qkv, bool inverse) {
  // q and k lie side by side: one call rotates the heads of both.
  TensorView qk = SplitQkv(layer, qkv).q;
  qk.shape[1] = layer.heads() + layer.kv_heads();
  kernels::Rope(exec.ctx, qk, batch.positions, layer.weights->rope_cos,
                layer.weights->rope_sin, inverse);
}

class ProjectQkvGradient final : public Tape::Operation {
 public:
  ProjectQkvGradient(const LayerContext& layer, const TokenBatch& batch,
                     const Projection& projection, const ProjectionSaved& saved,
                     Variable* x, Variable* qkv)
      : layer_(layer),
        batch_(batch),
        projection_(projection),
        saved_(saved),
        x_(x),
        qkv_(qkv) {}

  void Backward(Execution& exec) override {
    RotateQk(exec, layer_, batch_, qkv_->grad, /*inverse=*/true);
    NormProjectBackward(
        exec, projection_, layer_.layer_weights().attention_norm,
        layer_.weights->config.rms_norm_eps, saved_, qkv_->grad, x_);
  }

 private:
  LayerContext layer_;
  TokenBatch batch_;
  Projection projection_;
  ProjectionSaved saved_;
  Variable* x_;
  Variable* qkv_;
};

class ProjectOutputGradient final : public Tape::Operation {
 public:
  ProjectOutputGradient(const Projection& projection,
                        const ProjectionSaved& saved, Variable* y, Variable* x,
                        Variable* out)
      : projection_(projection), saved_(saved), y_(y), x_(x), out_(out) {}

  void Backward(Execution& exec) override {
    x_->grad = out_->grad;
    y_->grad =
        exec.arena->AllocateF32({y_->value.shape[0], y_->value.shape[1]});
    ProjectBackward(exec, projection_,
                    GatherRows(exec, out_->grad, y_->value.shape[0]), y_->value,
                    saved_, y_->grad);
  }

 private:
  Projection projection_;
  ProjectionSaved saved_;
  Variable* y_;
  Variable* x_;
  Variable* out_;
};

// Columns [0, f) and [f, 2f) of [rows, 2f].
struct GateUp {
  TensorView gate, up;
};
GateUp SplitGateUp(TensorView gate_up) {
  GateUp out{gate_up, gate_up};
  out.gate.shape[1] = out.up.shape[1] = gate_up.shape[1] / 2;
  out.up.data = gate_up.f32() + gate_up.shape[1] / 2;
  return out;
}

class MlpGradient final : public Tape::Operation {
 public:
  MlpGradient(const LayerContext& layer, const Projection& gate_up_projection,
              const ProjectionSaved& gate_up_saved,
              const Projection& down_projection,
              const ProjectionSaved& down_saved, TensorView gate_up,
              Variable* x, Variable* out)
      : layer_(layer),
        gate_up_projection_(gate_up_projection),
        gate_up_saved_(gate_up_saved),
        down_projection_(down_projection),
        down_saved_(down_saved),
        gate_up_(gate_up),
        x_(x),
        out_(out) {}

  void Backward(Execution& exec) override {
    x_->grad = out_->grad;
    const auto [gate, up] = SplitGateUp(gate_up_);
    const TensorView dh =
        exec.arena->AllocateF32({gate.shape[0], gate.shape[1]});
    // Only a trained adapter on the down projection needs h again.
    TensorView h = dh;
    if (down_projection_.lora[0].active()) {
      h = exec.arena->AllocateF32({gate.shape[0], gate.shape[1]});
      kernels::SwigluForward(exec.ctx, gate, up, h);
    }
    ProjectBackward(exec, down_projection_,
                    GatherRows(exec, out_->grad, dh.shape[0]), h, down_saved_,
                    dh);
    kernels::SwigluBackward(exec.ctx, dh, gate, up, gate, up);
    NormProjectBackward(
        exec, gate_up_projection_, layer_.layer_weights().mlp_norm,
        layer_.weights->config.rms_norm_eps, gate_up_saved_, gate_up_, x_);
  }

 private:
  LayerContext layer_;
  Projection gate_up_projection_;
  ProjectionSaved gate_up_saved_;
  Projection down_projection_;
  ProjectionSaved down_saved_;
  TensorView gate_up_;  // becomes its own gradient
  Variable* x_;
  Variable* out_;
};

}  // namespace

Projection LayerContext::WithLora(
    const LinearWeight& weight,
    std::initializer_list<ProjectionName> names) const {
  Projection projection;
  projection.weight = &weight;
  if (adapters == nullptr || !lora) return projection;
  int64_t out_begin = 0;
  int i = 0;
  for (const ProjectionName name : names) {
    LoraSlot slot = adapters->lora(layer, name);
    slot.out_begin = out_begin;
    out_begin +=
        weights->adapter_shape().projections[static_cast<int>(name)].out.size;
    projection.lora[i++] = slot;
  }
  return projection;
}

QkvViews SplitQkv(const LayerContext& layer, TensorView qkv) {
  const int64_t d = layer.head_dim(), h = layer.heads(), k = layer.kv_heads();
  const auto part = [&](int64_t begin, int64_t heads) {
    TensorView view(qkv.f32() + begin * d, {qkv.shape[0], heads, d});
    view.stride[0] = (h + 2 * k) * d;
    return view;
  };
  return {part(0, h), part(h, k), part(h + k, k)};
}

Variable* ProjectQkv(Execution& exec, const LayerContext& layer,
                     const TokenBatch& batch, Variable* x) {
  const LayerWeights& w = layer.layer_weights();
  const Projection projection = layer.WithLora(
      w.qkv, {ProjectionName::kQ, ProjectionName::kK, ProjectionName::kV});
  const int64_t rows = batch.rows();
  Variable* qkv = exec.arena->New<Variable>();
  qkv->value = exec.arena->AllocateF32({rows, w.qkv.out_features()});
  const ProjectionSaved saved = AllocateSaved(exec, projection, rows);
  {
    ArenaScope scratch(exec.arena);
    const Normed normed = Norm(exec, w.attention_norm,
                               layer.weights->config.rms_norm_eps, x->value);
    ProjectForward(exec, projection, GatherRows(exec, normed.y, rows), 0.0f,
                   qkv->value, saved);
  }
  RotateQk(exec, layer, batch, qkv->value, /*inverse=*/false);
  exec.CheckFinite(layer.layer, "q, k, v", qkv->value);
  if (exec.tape != nullptr) {
    exec.tape->Record<ProjectQkvGradient>(layer, batch, projection, saved, x,
                                          qkv);
  }
  return qkv;
}

Variable* ProjectOutput(Execution& exec, const LayerContext& layer, Variable* y,
                        Variable* x) {
  const Projection projection =
      layer.WithLora(layer.layer_weights().o, {ProjectionName::kO});
  Variable* out = ResidualCopy(exec, x);
  const ProjectionSaved saved =
      AllocateSaved(exec, projection, y->value.shape[0]);
  AddProjection(exec, projection, y->value, out->value, saved);
  exec.CheckFinite(layer.layer, "attention output", out->value);
  if (exec.tape != nullptr) {
    exec.tape->Record<ProjectOutputGradient>(projection, saved, y, x, out);
  }
  return out;
}

Variable* Mlp(Execution& exec, const LayerContext& layer,
              const TokenBatch& batch, Variable* x) {
  const LayerWeights& w = layer.layer_weights();
  const Projection gate_up_projection =
      layer.WithLora(w.gate_up, {ProjectionName::kGate, ProjectionName::kUp});
  const Projection down_projection =
      layer.WithLora(w.down, {ProjectionName::kDown});
  Variable* out = ResidualCopy(exec, x);
  const int64_t rows = batch.rows();
  const TensorView gate_up =
      exec.arena->AllocateF32({rows, w.gate_up.out_features()});
  const ProjectionSaved gate_up_saved =
      AllocateSaved(exec, gate_up_projection, rows);
  const ProjectionSaved down_saved = AllocateSaved(exec, down_projection, rows);
  {
    ArenaScope scratch(exec.arena);
    const Normed normed =
        Norm(exec, w.mlp_norm, layer.weights->config.rms_norm_eps, x->value);
    ProjectForward(exec, gate_up_projection, GatherRows(exec, normed.y, rows),
                   0.0f, gate_up, gate_up_saved);
  }
  {
    ArenaScope scratch(exec.arena);
    const auto [gate, up] = SplitGateUp(gate_up);
    const TensorView h = exec.arena->AllocateF32({rows, gate.shape[1]});
    kernels::SwigluForward(exec.ctx, gate, up, h);
    AddProjection(exec, down_projection, h, out->value, down_saved);
  }
  exec.CheckFinite(layer.layer, "MLP output", out->value);
  if (exec.tape != nullptr) {
    exec.tape->Record<MlpGradient>(layer, gate_up_projection, gate_up_saved,
                                   down_projection, down_saved, gate_up, x,
                                   out);
  }
  return out;
}

}  // namespace caracal
