#include "core/model/llama.h"

#include "core/model/ops/layer.h"
#include "core/model/ops/lm_loss.h"

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

TensorView Llama::Hidden(Execution& exec, const TokenBatch& batch,
                         const ModePlan& plan,
                         AttentionStatistics* statistics) const {
  CARACAL_CHECK(exec.tape == nullptr) << "an evaluation records no gradient";
  Variable* x = Embed(exec, *weights_, batch.tokens);
  for (int i = 0; i < layers(); ++i) {
    ArenaScope scratch(exec.arena);
    const LayerContext layer = Layer(i, plan.adapters_on());
    Variable* qkv = ProjectQkv(exec, layer, batch, x);
    Variable* y = Attend(exec, layer, batch, plan, qkv, statistics);
    ProjectOutput(exec, layer, y, x);
    Mlp(exec, layer, batch, x);
  }
  return x->value;
}

void Llama::Evaluate(Execution& exec, const TokenBatch& batch,
                     const ModePlan& plan, TensorView nll, TensorView argmax,
                     AttentionStatistics* statistics) const {
  ArenaScope scratch(exec.arena);
  Variable x;
  x.value = Hidden(exec, batch, plan, statistics);
  LmLoss(exec, *weights_,
         {.targets = batch.targets,
          .row_weight = ConstTensorView(),
          .nll = nll,
          .argmax = argmax},
         &x);
}

void Llama::TransferStep(Execution& exec, const TokenBatch& batch,
                         const TransferObjective& objective,
                         TransferSums* sums) const {
  CARACAL_CHECK(exec.tape == nullptr) << "transfer makes its gradients itself";
  Variable* x = Embed(exec, *weights_, batch.tokens);
  for (int i = 0; i < layers(); ++i) {
    ArenaScope scratch(exec.arena);
    const LayerContext layer = Layer(i, /*lora=*/false);
    Variable* qkv = ProjectQkv(exec, layer, batch, x);
    Variable* y =
        adapters_->config().IsSoftmaxLayer(i)
            ? TeacherAttention(exec, layer, batch, qkv)
            : TransferAttention(exec, layer, batch, objective, qkv, &sums[i]);
    if (exec.layer_done != nullptr) (*exec.layer_done)(i);
    if (i + 1 == layers()) break;  // Nobody reads the last layer's output.
    ProjectOutput(exec, layer, y, x);
    Mlp(exec, layer, batch, x);
  }
}

void Llama::FinetuneStep(Execution& exec, const TokenBatch& batch,
                         const ModePlan& plan, ConstTensorView row_weight,
                         TensorView nll, const LogitKl* logit_kl) const {
  CARACAL_CHECK(exec.tape != nullptr) << "fine-tuning needs a tape";
  Variable* x = Embed(exec, *weights_, batch.tokens);
  for (int i = 0; i < layers(); ++i) {
    exec.tape->ReleaseBackwardScratchHere();
    if (exec.layer_done != nullptr) exec.tape->Record<LayerDone>(i);
    const LayerContext layer = Layer(i, plan.adapters_on());
    Variable* qkv = ProjectQkv(exec, layer, batch, x);
    Variable* y = Attend(exec, layer, batch, plan, qkv, nullptr);
    Variable* middle = ProjectOutput(exec, layer, y, x);
    x = Mlp(exec, layer, batch, middle);
  }
  LmLoss(exec, *weights_,
         {.targets = batch.targets,
          .row_weight = row_weight,
          .nll = nll,
          .argmax = TensorView(),
          .logit_kl = logit_kl},
         x);
  exec.tape->Backward(exec);
}

}  // namespace caracal
