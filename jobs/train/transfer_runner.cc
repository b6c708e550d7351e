#include "jobs/train/transfer_runner.h"

#include <algorithm>
#include <cmath>

#include "core/base/status.h"
#include "jobs/train/student_config.h"

namespace caracal {

TransferRunner::TransferRunner(const proto::TransferStage& stage, Llama* model,
                               Execution exec, Gang* gang, int64_t micro_batch,
                               const AdamWSettings& settings,
                               MicroBatches* rows)
    : StageRunner(model, exec, gang, micro_batch, settings),
      loss_(stage.loss()),
      terms_(TermsOf(ModeFromProto(stage.student_mode()))),
      sums_(model->layers()) {
  for (int64_t i = 0; i < model->weights().config.layers; ++i) {
    converted_ += !model->adapters().config().IsSoftmaxLayer(i);
  }
  model->adapters().lora_active = false;
  if (gang->shape().layer > 1) {
    CARACAL_CHECK(rows != nullptr) << "a layer chain without rows";
    chain_.emplace(model, gang, rows);
  }
}

absl::Status TransferRunner::Validate(BatchBuffer& batch, LossSums* sums) {
  // The forward of transfer is its backward: gradients are made and dropped.
  std::fill(sums_.begin(), sums_.end(), TransferSums());
  const TransferObjective objective = ObjectiveOf(batch);
  if (chain_.has_value()) {
    RETURN_IF_ERROR(
        chain_->Run(exec(), batch, micro_batch(), objective, sums_.data()));
  } else {
    RunAlone(batch, objective, /*update=*/false);
  }
  AddSums(batch.count(), sums);
  model().adapters().parameters().ZeroGradients();
  return exec().status;
}

absl::Status TransferRunner::Finish() {
  return chain_.has_value() ? chain_->Drain() : absl::OkStatus();
}

absl::Status TransferRunner::Accumulate(BatchBuffer& batch, const StepInputs&,
                                        Pass pass, LossSums* sums) {
  std::fill(sums_.begin(), sums_.end(), TransferSums());
  const TransferObjective objective = ObjectiveOf(batch);
  if (!chain_.has_value()) {
    RunAlone(batch, objective, pass == Pass::kStep);
  } else if (pass == Pass::kStep) {
    RETURN_IF_ERROR(chain_->Step(exec(), objective, sums_.data(),
                                 [this] { set_last_pass(true); }));
    set_last_pass(false);
  } else {
    RETURN_IF_ERROR(chain_->Repeat(exec(), objective, sums_.data()));
  }
  AddSums(batch.count(), sums);
  return absl::OkStatus();
}

StepResult TransferRunner::ResultOf(const LossSums& sums) const {
  StepResult result;
  const double rows = AttentionRows(sums.rows);
  const double elements =
      rows * static_cast<double>(model().weights().config.head_dim);
  const LossSums::Layer all = sums.OfAllLayers();
  LossParts& parts = result.parts;
  if (loss_.mse() > 0) parts.mse = all.squared_error / elements;
  if (loss_.xent() > 0 || loss_.kl() > 0) {
    parts.xent = all.cross_entropy / rows;
    parts.kl = (all.cross_entropy - all.teacher_entropy) / rows;
  }
  result.loss = StageLoss({{loss_.mse(), parts.mse},
                           {loss_.xent(), parts.xent},
                           {loss_.kl(), parts.kl}});
  return result;
}

// Rows of attention: (sample, position, head) of the converted layers of the
// whole model.
double TransferRunner::AttentionRows(double rows) const {
  return rows * static_cast<double>(seq_len_) *
         static_cast<double>(model().weights().config.heads) *
         static_cast<double>(converted_);
}

TransferObjective TransferRunner::ObjectiveOf(const BatchBuffer& batch) {
  seq_len_ = batch.seq_len();
  const double rows =
      AttentionRows(static_cast<double>(batch.count() * gang().shape().data));
  const double elements =
      rows * static_cast<double>(model().weights().config.head_dim);
  return {
      .terms = terms_,
      .output_scale = static_cast<float>(2 * loss_.mse() / elements),
      .weight_scale = static_cast<float>((loss_.xent() + loss_.kl()) / rows)};
}

void TransferRunner::RunAlone(BatchBuffer& batch,
                              const TransferObjective& objective, bool update) {
  for (int64_t begin = 0; begin < batch.count(); begin += micro_batch()) {
    const int64_t n = std::min(micro_batch(), batch.count() - begin);
    exec().arena->Reset();
    set_last_pass(update && begin + n == batch.count());
    model().TransferStep(exec(), batch.Rows(begin, n), objective, sums_.data());
  }
  set_last_pass(false);
}

void TransferRunner::AddSums(int64_t rows, LossSums* out) {
  if (gang().place().layer == 0) {
    out->rows += gang().speaks_for_tensor_group() * static_cast<double>(rows);
  }
  const int64_t first = model().weights().layer_range.begin;
  for (size_t i = 0; i < sums_.size(); ++i) {
    const TransferSums& sums = sums_[i];
    CheckFinite(i, "squared error", sums.squared_error);
    CheckFinite(i, "cross-entropy of its weights", sums.weights.cross_entropy);
    LossSums::Layer& layer = out->layers[first + i];
    layer.squared_error += sums.squared_error;
    layer.cross_entropy += sums.weights.cross_entropy;
    layer.teacher_entropy += sums.weights.teacher_entropy;
  }
}

void TransferRunner::CheckFinite(size_t layer, const char* what, double value) {
  if (std::isfinite(value)) return;
  exec().Fail(absl::DataLossError(
      absl::StrCat("layer ", model().weights().layer_range.begin + layer,
                   ", student attention: the ", what, " is ", value)));
}

}  // namespace caracal
