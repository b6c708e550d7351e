#include "jobs/train/finetune_runner.h"

#include <algorithm>

#include "core/base/status.h"
#include "jobs/train/component_dropout.h"
#include "jobs/train/student_config.h"

namespace caracal {
namespace {

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
    Run(batch, nullptr, 0, /*update=*/false, sums);
    return exec().status;
  }

  double ValidationLoss(const LossSums& sums) const override {
    return sums.nll / sums.targets;
  }

 protected:
  absl::Status Accumulate(BatchBuffer& batch, const StepInputs& in, Pass pass,
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
    Run(batch, &in, targets, pass == Pass::kStep, sums);
    adapters.set_attention(own);
    return absl::OkStatus();
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
  // `update`: the parameters are updated with them.
  // What all ranks of a tensor group compute counts on one of them.
  void Run(BatchBuffer& batch, const StepInputs* in, double targets,
           bool update, LossSums* out) {
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
        set_last_pass(update && begin + n == batch.count());
        Train(tokens, mask, nll, targets, &sums);
        set_last_pass(false);
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

}  // namespace

std::unique_ptr<StageRunner> MakeFinetuneRunner(
    const proto::FinetuneStage& stage, uint64_t seed, Llama* model,
    Execution exec, Gang* gang, int64_t micro_batch,
    const AdamWSettings& settings) {
  return std::make_unique<FinetuneRunner>(stage, seed, model, exec, gang,
                                          micro_batch, settings);
}

}  // namespace caracal
