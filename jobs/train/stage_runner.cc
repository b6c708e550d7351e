#include "jobs/train/stage_runner.h"

#include <cmath>
#include <cstring>

#include "core/base/status.h"
#include "jobs/train/student_config.h"
#include "kernels/adamw/adamw.h"

namespace caracal {
namespace {

class TransferRunner final : public StageRunner {
 public:
  TransferRunner(const proto::TransferStage& stage, Llama* model,
                 Execution exec, int64_t micro_batch,
                 const AdamWSettings& settings)
      : StageRunner(model, exec, micro_batch, settings),
        weight_(stage.loss().mse()),
        terms_(TermsOf(ModeFromProto(stage.student_mode()))),
        squared_error_(model->layers()) {
    model->adapters().lora_active = false;
  }

  const char* name() const override { return "transfer"; }

  absl::Status Validate(BatchBuffer& batch, double* sum,
                        double* weight) override {
    // The forward of transfer is its backward: gradients are made and dropped.
    const double loss = Run(batch);
    model().adapters().parameters().ZeroGradients();
    *sum += loss * static_cast<double>(batch.count());
    *weight += static_cast<double>(batch.count());
    return exec().status;
  }

 protected:
  double Accumulate(BatchBuffer& batch) override { return Run(batch); }

 private:
  double Run(BatchBuffer& batch) {
    const LlamaWeights& w = model().weights();
    const double elements = static_cast<double>(batch.count()) *
                            static_cast<double>(batch.seq_len()) *
                            static_cast<double>(w.config.heads) *
                            static_cast<double>(w.config.head_dim);
    const double layers = static_cast<double>(model().layers());
    std::fill(squared_error_.begin(), squared_error_.end(), 0.0);
    for (int64_t begin = 0; begin < batch.count(); begin += micro_batch()) {
      const int64_t n = std::min(micro_batch(), batch.count() - begin);
      exec().arena->Reset();
      model().TransferStep(exec(), batch.Rows(begin, n), terms_,
                           static_cast<float>(2 * weight_ / layers / elements),
                           squared_error_.data());
    }
    double total = 0;
    for (size_t i = 0; i < squared_error_.size(); ++i) {
      if (!std::isfinite(squared_error_[i])) {
        exec().Fail(absl::DataLossError(absl::StrCat(
            "layer ", i, ", student attention: the squared error is ",
            squared_error_[i])));
      }
      total += squared_error_[i];
    }
    return total / elements / layers;
  }

  double weight_;
  uint8_t terms_;
  std::vector<double> squared_error_;  // [layers]
};

class FinetuneRunner final : public StageRunner {
 public:
  FinetuneRunner(const proto::FinetuneStage& stage, Llama* model,
                 Execution exec, int64_t micro_batch,
                 const AdamWSettings& settings)
      : StageRunner(model, exec, micro_batch, settings),
        weight_(stage.loss().lm()),
        mode_(ModeFromProto(stage.student_mode())) {
    model->adapters().lora_active = true;
  }

  const char* name() const override { return "finetune"; }

  absl::Status Validate(BatchBuffer& batch, double* sum,
                        double* weight) override {
    *sum += Run(batch, /*gradient=*/false);
    *weight += static_cast<double>(batch.unmasked());
    return exec().status;
  }

 protected:
  double Accumulate(BatchBuffer& batch) override {
    return Run(batch, /*gradient=*/true) /
           static_cast<double>(std::max<int64_t>(batch.unmasked(), 1));
  }

 private:
  // Sum of nats over unmasked targets.
  double Run(BatchBuffer& batch, bool gradient) {
    const float weight = static_cast<float>(
        weight_ / static_cast<double>(std::max<int64_t>(batch.unmasked(), 1)));
    double total = 0;
    for (int64_t begin = 0; begin < batch.count(); begin += micro_batch()) {
      const int64_t n = std::min(micro_batch(), batch.count() - begin);
      const int64_t rows = n * batch.seq_len();
      const uint8_t* mask = batch.mask() + begin * batch.seq_len();
      Arena& arena = *exec().arena;
      arena.Reset();
      plan_.SetAll(model().layers(), n, model().heads(), mode_);
      const TensorView nll = arena.AllocateF32({rows});
      if (gradient) {
        const TensorView row_weight = arena.AllocateF32({rows});
        for (int64_t r = 0; r < rows; ++r) {
          row_weight.f32()[r] = mask[r] ? weight : 0.0f;
        }
        Tape tape(&arena);
        exec().tape = &tape;
        model().FinetuneStep(exec(), batch.Rows(begin, n), plan_, row_weight,
                             nll);
        exec().tape = nullptr;
      } else {
        model().Evaluate(exec(), batch.Rows(begin, n), plan_, nll, TensorView(),
                         nullptr);
      }
      for (int64_t r = 0; r < rows; ++r) {
        if (mask[r]) total += nll.f32()[r];
      }
    }
    return total;
  }

  double weight_;
  ComponentMode mode_;
  ModePlan plan_;
};

AdamWSettings OptimizerSettings(const proto::Optimizer& o) {
  return {.beta1 = static_cast<float>(o.beta1()),
          .beta2 = static_cast<float>(o.beta2()),
          .epsilon = static_cast<float>(o.eps()),
          .weight_decay = static_cast<float>(o.weight_decay()),
          .grad_clip = static_cast<float>(o.grad_clip())};
}

}  // namespace

absl::StatusOr<StepResult> StageRunner::Step(BatchBuffer& batch,
                                             double learning_rate) {
  exec_.status = absl::OkStatus();
  model_->adapters().parameters().ZeroGradients();
  StepResult result;
  result.loss = Accumulate(batch);
  // A non-finite loss or layer is looked into before anything is updated.
  if (exec_.status.ok() && std::isfinite(result.loss)) {
    result.grad_norm =
        optimizer_.Step(exec_.ctx, static_cast<float>(learning_rate));
    if (std::isfinite(result.grad_norm)) return result;
  }
  if (!exec_.status.ok() && !absl::IsDataLoss(exec_.status)) {
    return exec_.status;
  }
  return Diagnose(batch, result.loss, result.grad_norm);
}

absl::Status StageRunner::Diagnose(BatchBuffer& batch, double loss,
                                   double norm) {
  const ParameterStore& store = model_->adapters().parameters();
  for (const Parameter& p : store.parameters()) {
    if (!kernels::AllFinite(exec_.ctx, p.value)) {
      return absl::DataLossError(
          absl::StrCat("parameter ", p.name, " is not finite"));
    }
  }
  const absl::Status first_seen = exec_.status;
  std::string bad_gradient;
  for (const Parameter* p : store.trained()) {
    if (!kernels::AllFinite(exec_.ctx, p->grad)) {
      bad_gradient = p->name;
      break;
    }
  }
  exec_.status = absl::OkStatus();
  exec_.check_finite = true;
  Accumulate(batch);
  exec_.check_finite = false;
  if (!exec_.status.ok())
    return Annotate(exec_.status, "the loss is not finite");
  if (!first_seen.ok()) return first_seen;
  if (!bad_gradient.empty()) {
    return absl::DataLossError(
        absl::StrCat("the gradient of ", bad_gradient, " is not finite"));
  }
  return absl::DataLossError(
      absl::StrCat("loss ", loss, ", gradient norm ", norm));
}

std::unique_ptr<StageRunner> MakeStageRunner(const proto::Stage& stage,
                                             const proto::Job& job,
                                             Llama* model, Execution exec,
                                             int64_t micro_batch) {
  std::vector<ParameterGroup> groups;
  const auto add = [&](bool trained, ParameterGroup group) {
    if (trained) groups.push_back(group);
  };
  const AdamWSettings settings = OptimizerSettings(job.optimizer());
  ParameterStore& store = model->adapters().parameters();
  if (stage.has_transfer()) {
    const proto::TransferStage& s = stage.transfer();
    add(s.train_feature_maps(), ParameterGroup::kFeatureMap);
    add(s.train_window_factors(), ParameterGroup::kWindowFactor);
    store.SetTrained(groups);
    return std::make_unique<TransferRunner>(s, model, exec, micro_batch,
                                            settings);
  }
  const proto::FinetuneStage& s = stage.finetune();
  add(s.train_feature_maps(), ParameterGroup::kFeatureMap);
  add(s.train_window_factors(), ParameterGroup::kWindowFactor);
  add(s.train_lora(), ParameterGroup::kLora);
  store.SetTrained(groups);
  return std::make_unique<FinetuneRunner>(s, model, exec, micro_batch,
                                          settings);
}

}  // namespace caracal
