#include "jobs/train/stage_runner.h"

#include <cmath>
#include <cstring>

#include "core/base/status.h"
#include "jobs/train/curriculum.h"
#include "jobs/train/student_config.h"
#include "kernels/adamw/adamw.h"

namespace caracal {
namespace {

// A stage's only loss as it is, or the weighted sum of several.
double StageLoss(std::initializer_list<std::pair<double, double>> parts) {
  double sum = 0, only = 0;
  int count = 0;
  for (const auto& [weight, loss] : parts) {
    if (weight == 0) continue;
    ++count;
    only = loss;
    sum += weight * loss;
  }
  return count == 1 ? only : sum;
}

class TransferRunner final : public StageRunner {
 public:
  TransferRunner(const proto::TransferStage& stage, Llama* model,
                 Execution exec, int64_t micro_batch,
                 const AdamWSettings& settings)
      : StageRunner(model, exec, micro_batch, settings),
        loss_(stage.loss()),
        terms_(TermsOf(ModeFromProto(stage.student_mode()))),
        sums_(model->layers()) {
    model->adapters().lora_active = false;
    for (int64_t i = 0; i < model->layers(); ++i) {
      converted_ += !model->adapters().config().IsSoftmaxLayer(i);
    }
  }

  const char* name() const override { return "transfer"; }

  absl::Status Validate(BatchBuffer& batch, double* sum,
                        double* weight) override {
    // The forward of transfer is its backward: gradients are made and dropped.
    StepResult result;
    Accumulate(batch, {}, &result);
    model().adapters().parameters().ZeroGradients();
    *sum += result.loss * static_cast<double>(batch.count());
    *weight += static_cast<double>(batch.count());
    return exec().status;
  }

 protected:
  void Accumulate(BatchBuffer& batch, const StepInputs&,
                  StepResult* result) override {
    const LlamaWeights& w = model().weights();
    // Rows of attention: (sample, position, head) of the converted layers.
    const double rows = static_cast<double>(batch.count()) *
                        static_cast<double>(batch.seq_len()) *
                        static_cast<double>(w.config.heads) *
                        static_cast<double>(converted_);
    const double elements = rows * static_cast<double>(w.config.head_dim);
    const TransferObjective objective = {
        .terms = terms_,
        .output_scale = static_cast<float>(2 * loss_.mse() / elements),
        .weight_scale = static_cast<float>((loss_.xent() + loss_.kl()) / rows)};
    std::fill(sums_.begin(), sums_.end(), TransferSums());
    for (int64_t begin = 0; begin < batch.count(); begin += micro_batch()) {
      const int64_t n = std::min(micro_batch(), batch.count() - begin);
      exec().arena->Reset();
      model().TransferStep(exec(), batch.Rows(begin, n), objective,
                           sums_.data());
    }
    double squared_error = 0, cross = 0, entropy = 0;
    for (size_t i = 0; i < sums_.size(); ++i) {
      const TransferSums& sums = sums_[i];
      CheckFinite(i, "squared error", sums.squared_error);
      CheckFinite(i, "cross-entropy of its weights",
                  sums.weights.cross_entropy);
      squared_error += sums.squared_error;
      cross += sums.weights.cross_entropy;
      entropy += sums.weights.teacher_entropy;
    }
    LossParts& parts = result->parts;
    if (loss_.mse() > 0) parts.mse = squared_error / elements;
    if (loss_.xent() > 0 || loss_.kl() > 0) {
      parts.xent = cross / rows;
      parts.kl = (cross - entropy) / rows;
    }
    result->loss = StageLoss({{loss_.mse(), parts.mse},
                              {loss_.xent(), parts.xent},
                              {loss_.kl(), parts.kl}});
  }

 private:
  void CheckFinite(size_t layer, const char* what, double value) {
    if (std::isfinite(value)) return;
    exec().Fail(absl::DataLossError(absl::StrCat(
        "layer ", layer, ", student attention: the ", what, " is ", value)));
  }

  proto::TransferLoss loss_;
  uint8_t terms_;
  int64_t converted_ = 0;           // layers
  std::vector<TransferSums> sums_;  // [layers]
};

class FinetuneRunner final : public StageRunner {
 public:
  FinetuneRunner(const proto::FinetuneStage& stage, uint64_t seed, Llama* model,
                 Execution exec, int64_t micro_batch,
                 const AdamWSettings& settings)
      : StageRunner(model, exec, micro_batch, settings),
        stage_(stage),
        mode_(ModeFromProto(stage.student_mode())),
        drops_(DropRuleOf(stage.curriculum(), seed)) {
    model->adapters().lora_active = true;
    drops_.first_head = model->weights().heads.begin;
  }

  const char* name() const override { return "finetune"; }

  absl::Status Validate(BatchBuffer& batch, double* sum,
                        double* weight) override {
    *sum += Run(batch, nullptr).nll;
    *weight += static_cast<double>(batch.unmasked());
    return exec().status;
  }

 protected:
  void Accumulate(BatchBuffer& batch, const StepInputs& in,
                  StepResult* result) override {
    Adapters& adapters = model().adapters();
    const kernels::HybridAttentionConfig own = adapters.config().attention;
    kernels::HybridAttentionConfig scheduled = own;
    if (in.window > 0) scheduled.window = in.window;
    adapters.set_attention(scheduled);
    const Sums sums = Run(batch, &in);
    adapters.set_attention(own);
    const double targets =
        static_cast<double>(std::max<int64_t>(batch.unmasked(), 1));
    if (stage_.loss().logit_kl() > 0) {
      result->parts.lm = sums.nll / targets;
      result->parts.logit_kl = sums.kl / targets;
    }
    result->loss = StageLoss({{stage_.loss().lm(), sums.nll / targets},
                              {stage_.loss().logit_kl(), sums.kl / targets}});
    result->dropped_share =
        static_cast<double>(sums.dropped) /
        static_cast<double>(batch.count() * model().layers() * model().heads());
  }

 private:
  // Over unmasked targets, nats; and (sample, layer, head) units dropped.
  struct Sums {
    double nll = 0, kl = 0;
    int64_t dropped = 0;
  };

  // fp32 [rows]: `weight` over the step's targets where the mask is set.
  TensorView RowWeights(const uint8_t* mask, int64_t rows, double weight,
                        int64_t targets) {
    const TensorView out = exec().arena->AllocateF32({rows});
    const float each = static_cast<float>(
        weight / static_cast<double>(std::max<int64_t>(targets, 1)));
    for (int64_t r = 0; r < rows; ++r) out.f32()[r] = mask[r] ? each : 0.0f;
    return out;
  }

  // With gradients when `in` says for which step.
  Sums Run(BatchBuffer& batch, const StepInputs* in) {
    Sums sums;
    for (int64_t begin = 0; begin < batch.count(); begin += micro_batch()) {
      const int64_t n = std::min(micro_batch(), batch.count() - begin);
      const int64_t rows = n * batch.seq_len();
      const uint8_t* mask = batch.mask() + begin * batch.seq_len();
      const TokenBatch tokens = batch.Rows(begin, n);
      Arena& arena = *exec().arena;
      arena.Reset();
      model().Plan(tokens, mode_, &plan_);
      const TensorView nll = arena.AllocateF32({rows});
      if (in == nullptr) {
        model().Evaluate(exec(), tokens, plan_, nll, TensorView(), nullptr);
      } else {
        if (in->drop_probability > 0) {
          sums.dropped += ApplyDrops(drops_, in->drop_probability,
                                     in->global_step, begin, tokens, &plan_);
        }
        Train(batch, tokens, mask, nll, &sums);
      }
      for (int64_t r = 0; r < rows; ++r) {
        if (mask[r]) sums.nll += nll.f32()[r];
      }
    }
    return sums;
  }

  void Train(const BatchBuffer& batch, const TokenBatch& tokens,
             const uint8_t* mask, TensorView nll, Sums* sums) {
    const int64_t rows = nll.shape[0], targets = batch.unmasked();
    const proto::FinetuneLoss& loss = stage_.loss();
    LogitKl kl;
    if (loss.logit_kl() > 0) {
      if (loss.logit_kl_direction() == proto::FinetuneLoss::REVERSE) {
        kl.direction = kernels::KlDirection::kReverse;
      }
      model().Plan(tokens, ComponentMode::kTeacher, &teacher_plan_);
      kl.teacher_x = model().Hidden(exec(), tokens, teacher_plan_, nullptr);
      kl.row_weight = RowWeights(mask, rows, loss.logit_kl(), targets);
      kl.kl = exec().arena->AllocateF32({rows});
    }
    const TensorView row_weight = RowWeights(mask, rows, loss.lm(), targets);
    Tape tape(exec().arena);
    exec().tape = &tape;
    model().FinetuneStep(exec(), tokens, plan_, row_weight, nll,
                         kl.kl.defined() ? &kl : nullptr);
    exec().tape = nullptr;
    for (int64_t r = 0; kl.kl.defined() && r < rows; ++r) {
      if (mask[r]) sums->kl += kl.kl.f32()[r];
    }
  }

  proto::FinetuneStage stage_;
  ComponentMode mode_;
  DropRule drops_;
  ModePlan plan_, teacher_plan_;
};

AdamWSettings OptimizerSettings(const proto::Optimizer& o) {
  const proto::GroupWeightDecay& decay = o.group_weight_decay();
  AdamWSettings settings = {.beta1 = static_cast<float>(o.beta1()),
                            .beta2 = static_cast<float>(o.beta2()),
                            .epsilon = static_cast<float>(o.eps()),
                            .grad_clip = static_cast<float>(o.grad_clip())};
  for (const auto& [group, value] :
       {std::pair(ParameterGroup::kFeatureMap, decay.feature_maps()),
        {ParameterGroup::kFeatureBias, decay.feature_biases()},
        {ParameterGroup::kWindowFactor, decay.window_factors()},
        {ParameterGroup::kLora, decay.lora()}}) {
    settings.weight_decay[static_cast<int>(group)] = static_cast<float>(value);
  }
  return settings;
}

}  // namespace

absl::StatusOr<StepResult> StageRunner::Step(BatchBuffer& batch,
                                             const StepInputs& in) {
  exec_.status = absl::OkStatus();
  model_->adapters().parameters().ZeroGradients();
  StepResult result;
  Accumulate(batch, in, &result);
  // A non-finite loss or layer is looked into before anything is updated.
  if (exec_.status.ok() && std::isfinite(result.loss)) {
    result.grad_norm =
        optimizer_.Step(exec_.ctx, static_cast<float>(in.learning_rate));
    if (std::isfinite(result.grad_norm)) return result;
  }
  if (!exec_.status.ok() && !absl::IsDataLoss(exec_.status)) {
    return exec_.status;
  }
  return Diagnose(batch, in, result);
}

absl::Status StageRunner::Diagnose(BatchBuffer& batch, const StepInputs& in,
                                   StepResult result) {
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
  StepResult again;
  Accumulate(batch, in, &again);
  exec_.check_finite = false;
  if (!exec_.status.ok())
    return Annotate(exec_.status, "the loss is not finite");
  if (!first_seen.ok()) return first_seen;
  if (!bad_gradient.empty()) {
    return absl::DataLossError(
        absl::StrCat("the gradient of ", bad_gradient, " is not finite"));
  }
  return absl::DataLossError(
      absl::StrCat("loss ", result.loss, ", gradient norm ", result.grad_norm));
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
    add(s.train_feature_maps(), ParameterGroup::kFeatureBias);
    add(s.train_window_factors(), ParameterGroup::kWindowFactor);
    store.SetTrained(groups);
    return std::make_unique<TransferRunner>(s, model, exec, micro_batch,
                                            settings);
  }
  const proto::FinetuneStage& s = stage.finetune();
  add(s.train_feature_maps(), ParameterGroup::kFeatureMap);
  add(s.train_feature_maps(), ParameterGroup::kFeatureBias);
  add(s.train_window_factors(), ParameterGroup::kWindowFactor);
  add(s.train_lora(), ParameterGroup::kLora);
  store.SetTrained(groups);
  return std::make_unique<FinetuneRunner>(s, job.seed(), model, exec,
                                          micro_batch, settings);
}

}  // namespace caracal
