#include "jobs/train/stage_runner.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "core/base/status.h"
#include "core/device/device_range.h"
#include "kernels/adamw/adamw.h"

namespace caracal {

StageRunner::StageRunner(Llama* model, Execution exec, Gang* gang,
                         int64_t micro_batch, const AdamWSettings& settings)
    : model_(model),
      exec_(exec),
      gang_(gang),
      micro_batch_(micro_batch),
      sync_(&model->adapters().parameters(), gang),
      optimizer_(&model->adapters().parameters(), settings, sync_.parts()),
      layer_done_([this](int layer) { LayerDone(layer); }),
      finish_gradients_([this] { FinishGradients(); }),
      squares_(model->weights().config.layers + 1) {
  if (exec_.device == nullptr) return;
  recorded_.emplace(exec_.device);
  exec_.recorded = &*recorded_;
}

void StageRunner::LayerDone(int layer) {
  const int bucket = sync_.LayerDone(layer);
  if (bucket < 0) return;
  const auto start = [this, bucket] {
    // As in FinishGradients().
    if (exec_.device == nullptr || exec_.device->ok()) sync_.Start(bucket);
  };
  if (exec_.recorded != nullptr) {
    exec_.recorded->Between(start);
  } else {
    start();
  }
}

void StageRunner::FinishGradients() {
  reduced_ = absl::OkStatus();
  // Where step memory ran out, what other ranks wait for was left out: they are
  // not to be met any more.
  if (exec_.device != nullptr && !exec_.device->ok()) return;
  reduced_ = sync_.Finish();
  if (reduced_->ok()) optimizer_.BeginSquares(exec_.ctx);
}

absl::StatusOr<StepResult> StageRunner::Step(BatchBuffer& batch,
                                             const StepInputs& in) {
  const DeviceRange range(exec_.device, "step");
  exec_.status = absl::OkStatus();
  RETURN_IF_ERROR(optimizer_.status());
  model_->adapters().parameters().ZeroGradients();
  sums_.Reset(model_->weights().config.layers);
  reduced_.reset();
  RETURN_IF_ERROR(Accumulate(batch, in, Pass::kStep, &sums_));
  if (exec_.device != nullptr && !exec_.device->ok()) return exec_.status;
  // A rank or a GPU that does not answer is not waited for once more.
  if (absl::IsUnavailable(exec_.status) ||
      absl::IsDeadlineExceeded(exec_.status)) {
    return exec_.status;
  }
  CARACAL_CHECK(reduced_.has_value()) << "a step without a last pass";
  RETURN_IF_ERROR(*reduced_);
  RETURN_IF_ERROR(sums_.SumOver(*gang_));
  StepResult result = ResultOf(sums_);
  // The gradient's squares by layer of the whole model, added up in one order
  // whichever ranks hold which (a device's sum counts at its rank's first
  // layer); behind them whether a rank's pass failed.
  std::fill(squares_.begin(), squares_.end(), 0.0);
  optimizer_.AddSquares(exec_.ctx, absl::MakeSpan(squares_).subspan(
                                       model_->weights().layer_range.begin));
  squares_.back() = exec_.status.ok() ? 0 : 1;
  RETURN_IF_ERROR(gang_->Sum(absl::MakeSpan(squares_)));
  const bool failed = squares_.back() > 0;
  result.grad_norm =
      std::sqrt(std::accumulate(squares_.begin(), squares_.end() - 1, 0.0));
  // A non-finite loss or layer is looked into before anything is updated.
  if (!failed && std::isfinite(result.loss) &&
      std::isfinite(result.grad_norm)) {
    const DeviceRange update_range(exec_.device, "update");
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
  ParameterStore& store = model_->adapters().parameters();
  RETURN_IF_ERROR(store.UseOnHost());
  RETURN_IF_ERROR(store.GradientsToHost());
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
  sums_.Reset(model_->weights().config.layers);
  RETURN_IF_ERROR(Accumulate(batch, in, Pass::kRepeat, &sums_));
  exec_.check_finite = false;
  absl::Status culprit = exec_.status;
  if (!culprit.ok()) culprit = Annotate(culprit, "the loss is not finite");
  RETURN_IF_ERROR(gang_->Agree(culprit));
  RETURN_IF_ERROR(gang_->Agree(first_seen));
  RETURN_IF_ERROR(gang_->Agree(bad_gradient));
  return absl::DataLossError(
      absl::StrCat("loss ", result.loss, ", gradient norm ", result.grad_norm));
}

}  // namespace caracal
