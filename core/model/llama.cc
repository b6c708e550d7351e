#include "core/model/llama.h"

#include <algorithm>

#include "core/device/device_range.h"
#include "core/model/ops/layer.h"
#include "core/model/ops/lm_loss.h"
#include "core/model/ops/model_ops.h"

namespace caracal {
namespace {

// Runs when backward has passed the layer's first operation.
class LayerDone final : public Tape::Operation {
 public:
  explicit LayerDone(int layer) : layer_(layer) {}
  void Backward(Execution& exec) override { (*exec.layer_done)(layer_); }

 private:
  int layer_;
};

// `shape`: what ModelOps::UsePlan() said.
void AddPlan(const ModePlan& plan, uint32_t shape, PassKey* key) {
  key->Add(plan.adapters_on());
  for (int64_t i = 0; i < plan.layers(); ++i) {
    key->Add(plan.full_softmax(i));
  }
  key->Add(shape);
}

}  // namespace

void Llama::Plan(const TokenBatch& batch, ComponentMode mode,
                 ModePlan* plan) const {
  plan->set_softmax_layers(SoftmaxLayers());
  plan->SetAll(layers(), batch.sequences, heads(), mode);
}

void Llama::PlanTerms(const TokenBatch& batch, uint8_t terms,
                      ModePlan* plan) const {
  plan->set_softmax_layers(SoftmaxLayers());
  plan->SetAllTerms(layers(), batch.sequences, heads(), terms);
}

const std::vector<bool>* Llama::SoftmaxLayers() const {
  const std::vector<bool>& kept = adapters_->config().softmax_layers;
  return kept.empty() ? nullptr : &kept;
}

TokenBatch Llama::Begin(Execution& exec, const TokenBatch& batch,
                        bool lora) const {
  if (exec.device != nullptr) exec.device->BeginPass();
  adapters_->parameters().UseOnDevice();
  if (lora && adapters_->lora_active) {
    OpsOf(exec).UseAdapters(exec, *weights_, *adapters_);
  }
  return OpsOf(exec).Place(exec, batch);
}

PassKey Llama::KeyOf(const Execution& exec, char pass,
                     const TokenBatch& batch) const {
  PassKey key;
  key.Add(pass);
  // Where a pass allocates, and what it reads.
  const Arena* arena = &exec.device_arena();
  key.Add(arena);
  key.Add(arena->used_bytes());
  key.Add(batch.tokens.data);
  key.Add(batch.positions.data);
  key.Add(batch.sequences);
  key.Add(batch.offsets, batch.sequences + 1);
  const kernels::HybridAttentionConfig& attention =
      adapters_->config().attention;
  key.Add(attention.window);
  key.Add(attention.sinks);
  key.Add(attention.window_kind);
  key.Add(attention.feature_map);
  key.Add(attention.affine);
  key.Add(adapters_->lora_active);
  const std::vector<ParameterStore::Run>& trained =
      adapters_->parameters().trained_runs();
  key.Add(trained.size());
  for (const ParameterStore::Run& run : trained) {
    key.Add(run.group);
    key.Add(run.step_grad.data);
  }
  return key;
}

void Llama::Launch(Execution& exec, absl::FunctionRef<PassKey()> key,
                   absl::FunctionRef<void()> launches) const {
  const auto scoped = [&] {
    ArenaScope scratch(exec.arena);
    launches();
  };
  // The exchanges of a tensor group take turns with halves of their memory, and
  // wait for what the other ranks wrote at a certain pass. A checked pass waits
  // for the device.
  if (exec.recorded == nullptr || exec.collective->size() > 1 ||
      exec.check_finite) {
    return scoped();
  }
  exec.recorded->Run(key(), scoped);
}

void Llama::FinishWithGradients(Execution& exec) const {
  if (exec.pass_enqueued != nullptr) (*exec.pass_enqueued)();
  OpsOf(exec).Finish(exec);
}

TensorView Llama::Hidden(Execution& exec, const TokenBatch& given,
                         const ModePlan& plan,
                         AttentionStatistics* statistics) const {
  CARACAL_CHECK(exec.tape == nullptr) << "an evaluation records no gradient";
  ModelOps& ops = OpsOf(exec);
  const TokenBatch batch = Begin(exec, given, plan.adapters_on());
  const uint32_t plan_shape = ops.UsePlan(exec, plan);
  Variable* x = ops.Embed(exec, *weights_, batch.tokens);
  const auto launches = [&] {
    for (int i = 0; i < layers(); ++i) {
      ArenaScope scratch(exec.arena);
      const LayerContext layer = Layer(i, plan.adapters_on());
      Variable* qkv = ops.ProjectQkv(exec, layer, batch, x);
      Variable* y = ops.Attend(exec, layer, batch, plan, qkv, statistics);
      ops.ProjectOutput(exec, layer, y, x);
      ops.Mlp(exec, layer, batch, x);
    }
  };
  if (statistics != nullptr) {  // They come to the host layer by layer.
    launches();
    return x->value;
  }
  const auto key = [&] {
    PassKey out = KeyOf(exec, 'h', batch);
    AddPlan(plan, plan_shape, &out);
    return out;
  };
  Launch(exec, key, launches);
  return x->value;
}

TensorView Llama::Logits(Execution& exec, ConstTensorView hidden,
                         absl::Span<const int64_t> rows) const {
  return OpsOf(exec).Logits(exec, *weights_, hidden, rows);
}

void Llama::Evaluate(Execution& exec, const TokenBatch& batch,
                     const ModePlan& plan, TensorView nll, TensorView argmax,
                     AttentionStatistics* statistics) const {
  const DeviceRange range(exec.device, "evaluate");
  ArenaScope scratch(exec.arena);
  Variable x;
  x.value = Hidden(exec, batch, plan, statistics);
  const LmLossRequest request = {.targets = batch.targets,
                                 .row_weight = ConstTensorView(),
                                 .nll = nll,
                                 .argmax = argmax};
  ModelOps& ops = OpsOf(exec);
  ops.BeginLoss(exec, request);
  ops.LmLoss(exec, *weights_, request, &x);
  ops.Finish(exec);
}

bool Llama::KeptAsSoftmax(int layer) const {
  return adapters_->config().IsSoftmaxLayer(weights_->layer_range.begin +
                                            layer);
}

TransferKept Llama::TeacherLayer(Execution& exec, const TokenBatch& batch,
                                 int layer, Variable* x) const {
  const DeviceRange range(exec.device, "teacher's layer");
  ModelOps& ops = OpsOf(exec);
  const LayerContext context = Layer(layer, /*lora=*/false);
  TransferKept kept;
  kept.qkv = ops.ProjectQkv(exec, context, batch, x);
  kept.y = ops.TeacherAttention(exec, context, batch, kept.qkv);
  // Nobody reads the last layer's output.
  if (weights_->layer_range.begin + layer + 1 < weights_->config.layers) {
    ArenaScope scratch(exec.arena);
    ops.ProjectOutput(exec, context, kept.y, x);
    ops.Mlp(exec, context, batch, x);
  }
  return kept;
}

void Llama::StudentLayer(Execution& exec, const TokenBatch& batch,
                         const TransferObjective& objective, int layer,
                         const TransferKept& kept, TransferSums* sums) const {
  const DeviceRange range(exec.device, "student's layer");
  if (!KeptAsSoftmax(layer)) {
    OpsOf(exec).TransferAttention(exec, Layer(layer, /*lora=*/false), batch,
                                  objective, *kept.qkv, *kept.y, sums);
  }
}

void Llama::TransferStep(Execution& exec, const TokenBatch& given,
                         const TransferObjective& objective,
                         TransferSums* sums) const {
  const DeviceRange range(exec.device, "transfer");
  CARACAL_CHECK(exec.tape == nullptr) << "transfer makes its gradients itself";
  const TokenBatch batch = Begin(exec, given, /*lora=*/false);
  ModelOps& ops = OpsOf(exec);
  ops.BeginSums(exec, sums, layers());
  const auto key = [&] {
    PassKey out = KeyOf(exec, 't', batch);
    out.Add(exec.layer_done != nullptr);  // who may act in between
    out.Add(objective.terms);
    out.Add(objective.output_scale);
    out.Add(objective.weight_scale);
    return out;
  };
  Launch(exec, key, [&] {
    Variable* x = ops.Embed(exec, *weights_, batch.tokens);
    const int lag =
        ops.BeginTransfer(exec, Layer(0, /*lora=*/false), batch, objective);
    const int count = static_cast<int>(layers());
    const auto done = [&exec](int layer) {
      if (layer >= 0 && exec.layer_done != nullptr) (*exec.layer_done)(layer);
    };
    for (int i = 0; i < count; ++i) {
      ArenaScope scratch(exec.arena);
      const TransferKept kept = TeacherLayer(exec, batch, i, x);
      if (lag > 0) done(i - lag);
      StudentLayer(exec, batch, objective, i, kept, &sums[i]);
      if (lag == 0) done(i);
    }
    ops.EndTransfer(exec);
    for (int i = std::max(0, count - lag); i < count; ++i) done(i);
  });
  FinishWithGradients(exec);
}

TensorView Llama::TransferTeacher(Execution& exec, const TokenBatch& given,
                                  TensorView x, TransferKept* kept) const {
  const TokenBatch batch = Begin(exec, given, /*lora=*/false);
  Variable before;
  before.value = x;
  Variable* const stream =
      x.defined() ? &before : OpsOf(exec).Embed(exec, *weights_, batch.tokens);
  for (int i = 0; i < layers(); ++i) {
    kept[i] = TeacherLayer(exec, batch, i, stream);
  }
  return stream->value;
}

void Llama::TransferStudents(Execution& exec, const TokenBatch& batch,
                             const TransferObjective& objective,
                             const TransferKept* kept,
                             TransferSums* sums) const {
  CARACAL_CHECK(exec.tape == nullptr) << "transfer makes its gradients itself";
  OpsOf(exec).BeginSums(exec, sums, layers());
  for (int i = 0; i < layers(); ++i) {
    StudentLayer(exec, batch, objective, i, kept[i], &sums[i]);
    if (exec.layer_done != nullptr) (*exec.layer_done)(i);
  }
  FinishWithGradients(exec);
}

void Llama::FinetuneStep(Execution& exec, const TokenBatch& given,
                         const ModePlan& plan, ConstTensorView row_weight,
                         TensorView nll, const LogitKl* logit_kl) const {
  const DeviceRange range(exec.device, "fine-tune");
  CARACAL_CHECK(exec.tape != nullptr) << "fine-tuning needs a tape";
  ModelOps& ops = OpsOf(exec);
  const TokenBatch batch = Begin(exec, given, plan.adapters_on());
  const uint32_t plan_shape = ops.UsePlan(exec, plan);
  const LmLossRequest request = {.targets = batch.targets,
                                 .row_weight = row_weight,
                                 .nll = nll,
                                 .argmax = TensorView(),
                                 .logit_kl = logit_kl};
  const int64_t loss_shape = ops.BeginLoss(exec, request);
  const auto key = [&] {
    PassKey out = KeyOf(exec, 'f', batch);
    out.Add(exec.layer_done != nullptr);
    AddPlan(plan, plan_shape, &out);
    out.Add(loss_shape);
    if (logit_kl != nullptr) {
      out.Add(logit_kl->direction);
      out.Add(logit_kl->teacher_x.data);
    }
    return out;
  };
  Launch(exec, key, [&] {
    Variable* x = ops.Embed(exec, *weights_, batch.tokens);
    for (int i = 0; i < layers(); ++i) {
      exec.tape->ReleaseBackwardScratchHere();
      if (exec.layer_done != nullptr) exec.tape->Record<LayerDone>(i);
      const DeviceRange layer_range(exec.device, "layer");
      const LayerContext layer = Layer(i, plan.adapters_on());
      Variable* qkv = ops.ProjectQkv(exec, layer, batch, x);
      Variable* y = ops.Attend(exec, layer, batch, plan, qkv, nullptr);
      Variable* middle = ops.ProjectOutput(exec, layer, y, x);
      x = ops.Mlp(exec, layer, batch, middle);
    }
    ops.LmLoss(exec, *weights_, request, x);
    const DeviceRange backward_range(exec.device, "backward");
    exec.tape->Backward(exec);
  });
  FinishWithGradients(exec);
}

}  // namespace caracal
