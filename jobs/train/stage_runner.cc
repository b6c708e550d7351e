#include "jobs/train/stage_runner.h"

#include <array>
#include <cmath>
#include <cstring>
#include <iterator>

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
                 Execution exec, Gang* gang, int64_t micro_batch,
                 const AdamWSettings& settings, int64_t converted)
      : StageRunner(model, exec, gang, micro_batch, settings),
        loss_(stage.loss()),
        terms_(TermsOf(ModeFromProto(stage.student_mode()))),
        converted_(converted),
        sums_(model->layers()) {
    model->adapters().lora_active = false;
  }

  const char* name() const override { return "transfer"; }

  absl::Status Validate(BatchBuffer& batch, LossSums* sums) override {
    // The forward of transfer is its backward: gradients are made and dropped.
    Run(batch, sums, /*step=*/false);
    model().adapters().parameters().ZeroGradients();
    return exec().status;
  }

  double ValidationLoss(const LossSums& sums) const override {
    return ResultOf(sums).loss;
  }

 protected:
  void Accumulate(BatchBuffer& batch, const StepInputs&,
                  LossSums* sums) override {
    seq_len_ = batch.seq_len();
    Run(batch, sums, /*step=*/true);
  }

  StepResult ResultOf(const LossSums& sums) const override {
    StepResult result;
    const double rows = AttentionRows(sums.rows);
    const double elements =
        rows * static_cast<double>(model().weights().config.head_dim);
    LossParts& parts = result.parts;
    if (loss_.mse() > 0) parts.mse = sums.squared_error / elements;
    if (loss_.xent() > 0 || loss_.kl() > 0) {
      parts.xent = sums.cross_entropy / rows;
      parts.kl = (sums.cross_entropy - sums.teacher_entropy) / rows;
    }
    result.loss = StageLoss({{loss_.mse(), parts.mse},
                             {loss_.xent(), parts.xent},
                             {loss_.kl(), parts.kl}});
    return result;
  }

 private:
  // Rows of attention: (sample, position, head) of the converted layers of the
  // whole model.
  double AttentionRows(double rows) const {
    return rows * static_cast<double>(seq_len_) *
           static_cast<double>(model().weights().config.heads) *
           static_cast<double>(converted_);
  }

  void Run(BatchBuffer& batch, LossSums* out, bool step) {
    seq_len_ = batch.seq_len();
    const double rows = AttentionRows(
        static_cast<double>(batch.count() * gang().data().size()));
    const double elements =
        rows * static_cast<double>(model().weights().config.head_dim);
    const TransferObjective objective = {
        .terms = terms_,
        .output_scale = static_cast<float>(2 * loss_.mse() / elements),
        .weight_scale = static_cast<float>((loss_.xent() + loss_.kl()) / rows)};
    std::fill(sums_.begin(), sums_.end(), TransferSums());
    for (int64_t begin = 0; begin < batch.count(); begin += micro_batch()) {
      const int64_t n = std::min(micro_batch(), batch.count() - begin);
      exec().arena->Reset();
      WatchLayers(step && begin + n == batch.count());
      model().TransferStep(exec(), batch.Rows(begin, n), objective,
                           sums_.data());
    }
    WatchLayers(false);
    if (gang().place().layer == 0) {
      out->rows +=
          gang().speaks_for_tensor_group() * static_cast<double>(batch.count());
    }
    for (size_t i = 0; i < sums_.size(); ++i) {
      const TransferSums& sums = sums_[i];
      CheckFinite(i, "squared error", sums.squared_error);
      CheckFinite(i, "cross-entropy of its weights",
                  sums.weights.cross_entropy);
      out->squared_error += sums.squared_error;
      out->cross_entropy += sums.weights.cross_entropy;
      out->teacher_entropy += sums.weights.teacher_entropy;
    }
  }

  void CheckFinite(size_t layer, const char* what, double value) {
    if (std::isfinite(value)) return;
    exec().Fail(absl::DataLossError(
        absl::StrCat("layer ", model().weights().layer_range.begin + layer,
                     ", student attention: the ", what, " is ", value)));
  }

  proto::TransferLoss loss_;
  uint8_t terms_;
  int64_t converted_;               // layers of the whole model
  int64_t seq_len_ = 0;             // of the last batch
  std::vector<TransferSums> sums_;  // [layers]
};

class FinetuneRunner final : public StageRunner {
 public:
  FinetuneRunner(const proto::FinetuneStage& stage, uint64_t seed, Llama* model,
                 Execution exec, Gang* gang, int64_t micro_batch,
                 const AdamWSettings& settings)
      : StageRunner(model, exec, gang, micro_batch, settings),
        stage_(stage),
        mode_(ModeFromProto(stage.student_mode())),
        drops_(DropRuleOf(stage.curriculum(), seed)) {
    model->adapters().lora_active = true;
    drops_.first_head = model->weights().heads.begin;
  }

  const char* name() const override { return "finetune"; }

  absl::Status Validate(BatchBuffer& batch, LossSums* sums) override {
    Run(batch, nullptr, 0, sums);
    return exec().status;
  }

  double ValidationLoss(const LossSums& sums) const override {
    return sums.nll / sums.targets;
  }

 protected:
  void Accumulate(BatchBuffer& batch, const StepInputs& in,
                  LossSums* sums) override {
    // The loss is a mean over the targets of all ranks.
    double targets = gang().speaks_for_tensor_group() *
                     static_cast<double>(batch.unmasked());
    exec().Fail(gang().Sum(absl::MakeSpan(&targets, 1)));
    Adapters& adapters = model().adapters();
    const kernels::HybridAttentionConfig own = adapters.config().attention;
    kernels::HybridAttentionConfig scheduled = own;
    if (in.window > 0) scheduled.window = in.window;
    adapters.set_attention(scheduled);
    Run(batch, &in, targets, sums);
    adapters.set_attention(own);
  }

  StepResult ResultOf(const LossSums& sums) const override {
    StepResult result;
    const double targets = std::max(sums.targets, 1.0);
    if (stage_.loss().logit_kl() > 0) {
      result.parts.lm = sums.nll / targets;
      result.parts.logit_kl = sums.kl / targets;
    }
    result.loss = StageLoss({{stage_.loss().lm(), sums.nll / targets},
                             {stage_.loss().logit_kl(), sums.kl / targets}});
    const ModelConfig& config = model().weights().config;
    result.dropped_share =
        sums.dropped /
        (sums.rows * static_cast<double>(config.layers * config.heads));
    return result;
  }

 private:
  // fp32 [rows]: `weight` over the step's targets where the mask is set.
  TensorView RowWeights(const uint8_t* mask, int64_t rows, double weight,
                        double targets) {
    const TensorView out = exec().arena->AllocateF32({rows});
    const float each = static_cast<float>(weight / std::max(targets, 1.0));
    for (int64_t r = 0; r < rows; ++r) out.f32()[r] = mask[r] ? each : 0.0f;
    return out;
  }

  // With gradients when `in` says for which step; `targets` are that step's.
  // What all ranks of a tensor group compute counts on one of them.
  void Run(BatchBuffer& batch, const StepInputs* in, double targets,
           LossSums* out) {
    LossSums sums;
    int64_t dropped = 0;
    // Draws are keyed by the row's place in the gang's batch.
    const int64_t first_row = gang().place().data * batch.count();
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
          dropped += ApplyDrops(drops_, in->drop_probability, in->global_step,
                                first_row + begin, tokens, &plan_);
        }
        WatchLayers(begin + n == batch.count());
        Train(tokens, mask, nll, targets, &sums);
        WatchLayers(false);
      }
      for (int64_t r = 0; r < rows; ++r) {
        if (mask[r]) sums.nll += nll.f32()[r];
      }
    }
    const double counts = gang().speaks_for_tensor_group();
    out->nll += counts * sums.nll;
    out->kl += counts * sums.kl;
    out->rows += counts * static_cast<double>(batch.count());
    out->targets += counts * static_cast<double>(batch.unmasked());
    // Of this rank's heads.
    out->dropped += static_cast<double>(dropped);
  }

  void Train(const TokenBatch& tokens, const uint8_t* mask, TensorView nll,
             double targets, LossSums* sums) {
    const int64_t rows = nll.shape[0];
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

absl::Status LossSums::SumOver(Gang& gang) {
  double* const fields[] = {
      &rows,    &targets,       &nll,           &kl,
      &dropped, &squared_error, &cross_entropy, &teacher_entropy};
  std::array<double, std::size(fields)> values;
  for (size_t i = 0; i < values.size(); ++i) values[i] = *fields[i];
  RETURN_IF_ERROR(gang.Sum(absl::MakeSpan(values)));
  for (size_t i = 0; i < values.size(); ++i) *fields[i] = values[i];
  return absl::OkStatus();
}

StageRunner::StageRunner(Llama* model, Execution exec, Gang* gang,
                         int64_t micro_batch, const AdamWSettings& settings)
    : model_(model),
      exec_(exec),
      gang_(gang),
      micro_batch_(micro_batch),
      sync_(&model->adapters().parameters(), gang),
      optimizer_(&model->adapters().parameters(), settings, sync_.parts()),
      layer_done_([this](int layer) { sync_.LayerDone(layer); }) {}

absl::StatusOr<StepResult> StageRunner::Step(BatchBuffer& batch,
                                             const StepInputs& in) {
  exec_.status = absl::OkStatus();
  model_->adapters().parameters().ZeroGradients();
  LossSums sums;
  Accumulate(batch, in, &sums);
  RETURN_IF_ERROR(sync_.Finish());
  RETURN_IF_ERROR(sums.SumOver(*gang_));
  StepResult result = ResultOf(sums);
  // Whether a rank's pass failed, and the gradient's square.
  std::array<double, 2> all = {exec_.status.ok() ? 0.0 : 1.0,
                               optimizer_.SumOfSquares(exec_.ctx)};
  RETURN_IF_ERROR(gang_->Sum(absl::MakeSpan(all)));
  result.grad_norm = std::sqrt(all[1]);
  // A non-finite loss or layer is looked into before anything is updated.
  if (all[0] == 0 && std::isfinite(result.loss) &&
      std::isfinite(result.grad_norm)) {
    optimizer_.Update(exec_.ctx, static_cast<float>(in.learning_rate),
                      result.grad_norm);
    RETURN_IF_ERROR(sync_.GatherValues());
    return result;
  }
  if (!exec_.status.ok() && !absl::IsDataLoss(exec_.status)) {
    return exec_.status;
  }
  return Diagnose(batch, in, result);
}

absl::Status StageRunner::Diagnose(BatchBuffer& batch, const StepInputs& in,
                                   const StepResult& result) {
  const ParameterStore& store = model_->adapters().parameters();
  absl::Status parameters;
  for (const Parameter& p : store.parameters()) {
    if (parameters.ok() && !kernels::AllFinite(exec_.ctx, p.value)) {
      parameters = absl::DataLossError(
          absl::StrCat("parameter ", p.name, " is not finite"));
    }
  }
  RETURN_IF_ERROR(gang_->Agree(parameters));
  const absl::Status first_seen = exec_.status;
  absl::Status bad_gradient;
  for (const Parameter* p : store.trained()) {
    if (bad_gradient.ok() && !kernels::AllFinite(exec_.ctx, p->grad)) {
      bad_gradient = absl::DataLossError(
          absl::StrCat("the gradient of ", p->name, " is not finite"));
    }
  }
  exec_.status = absl::OkStatus();
  exec_.check_finite = true;
  reduce_ = false;
  LossSums again;
  Accumulate(batch, in, &again);
  reduce_ = true;
  exec_.check_finite = false;
  absl::Status culprit = exec_.status;
  if (!culprit.ok()) culprit = Annotate(culprit, "the loss is not finite");
  RETURN_IF_ERROR(gang_->Agree(culprit));
  RETURN_IF_ERROR(gang_->Agree(first_seen));
  RETURN_IF_ERROR(gang_->Agree(bad_gradient));
  return absl::DataLossError(
      absl::StrCat("loss ", result.loss, ", gradient norm ", result.grad_norm));
}

std::unique_ptr<StageRunner> MakeStageRunner(const proto::Stage& stage,
                                             const proto::Job& job,
                                             Llama* model, Execution exec,
                                             Gang* gang, int64_t micro_batch) {
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
    int64_t converted = 0;
    for (int64_t i = 0; i < model->layers(); ++i) {
      converted += !model->adapters().config().IsSoftmaxLayer(i);
    }
    return std::make_unique<TransferRunner>(s, model, exec, gang, micro_batch,
                                            settings, converted);
  }
  const proto::FinetuneStage& s = stage.finetune();
  add(s.train_feature_maps(), ParameterGroup::kFeatureMap);
  add(s.train_feature_maps(), ParameterGroup::kFeatureBias);
  add(s.train_window_factors(), ParameterGroup::kWindowFactor);
  add(s.train_lora(), ParameterGroup::kLora);
  store.SetTrained(groups);
  return std::make_unique<FinetuneRunner>(s, job.seed(), model, exec, gang,
                                          micro_batch, settings);
}

}  // namespace caracal
