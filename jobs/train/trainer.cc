#include "jobs/train/trainer.h"

#include <algorithm>
#include <cmath>

#include "core/base/status.h"
#include "jobs/train/student_config.h"

namespace caracal {
namespace {

int64_t SeqLenOf(const proto::Job& job, const PackedDataset& data) {
  return job.data().seq_len() > 0 ? job.data().seq_len() : data.seq_len();
}

int64_t MicroBatchOf(const proto::Job& job) {
  return job.budget().micro_batch() > 0 ? job.budget().micro_batch()
                                        : job.budget().batch();
}

}  // namespace

Trainer::Trainer(const proto::Job* job, Llama* model, Execution exec,
                 PackedDataset* data, PackedDataset* validation,
                 Checkpointing* checkpointing, MetricsWriter* metrics,
                 TrainerOptions options)
    : job_(job),
      model_(model),
      exec_(exec),
      data_(data),
      validation_(validation),
      checkpointing_(checkpointing),
      metrics_(metrics),
      options_(std::move(options)),
      seq_len_(SeqLenOf(*job, *data)),
      micro_batch_(MicroBatchOf(*job)),
      order_(data->rows(), job->data().shuffle(), job->seed()),
      batch_(job->budget().batch(), seq_len_),
      validation_batch_(job->budget().batch(), seq_len_) {
  for (const proto::Stage& stage : job->stages()) {
    total_steps_ += StepsOf(stage);
  }
}

absl::StatusOr<bool> Trainer::Run(TrainState state) {
  state_ = state;
  last_save_ = options_.clock->Now();
  while (state_.stage_index < job_->stages_size()) {
    const bool empty = StepsOf(job_->stages(state_.stage_index)) == 0;
    ASSIGN_OR_RETURN(const bool finished, RunStage());
    if (!finished) return false;
    ++state_.stage_index;
    state_.step = 0;
    state_.optimizer_steps = 0;
    state_.plateau = PlateauState();
    state_.best_validation = TrainState().best_validation;
    if (job_->data().restart_each_stage()) state_.next_sample = 0;
    runner_ = nullptr;
    if (empty) continue;  // Nothing new to save.
    RETURN_IF_ERROR(checkpointing_->Save(state_, *model_, nullptr,
                                         /*best=*/false));
    last_save_ = options_.clock->Now();
  }
  // A run without any step is a model all the same.
  if (state_.global_step == 0) {
    RETURN_IF_ERROR(checkpointing_->Save(state_, *model_, nullptr,
                                         /*best=*/false));
  }
  RETURN_IF_ERROR(checkpointing_->Wait());
  return true;
}

absl::StatusOr<bool> Trainer::RunStage() {
  const proto::Stage& stage = job_->stages(state_.stage_index);
  runner_ = MakeStageRunner(stage, *job_, model_, exec_, micro_batch_);
  schedule_ = ScheduleOf(stage);
  if (!state_.at_stage_start()) {
    RETURN_IF_ERROR(checkpointing_->RestoreMoments(runner_->optimizer()));
    runner_->optimizer().set_steps(state_.optimizer_steps);
  }
  const int64_t steps = StepsOf(stage);
  const int64_t every = job_->validation().every_steps();
  while (state_.step < steps) {
    if (stop_requested()) {
      RETURN_IF_ERROR(checkpointing_->Save(
          state_, *model_, &runner_->optimizer(), /*best=*/false));
      RETURN_IF_ERROR(checkpointing_->Wait());
      return false;
    }
    absl::StatusOr<StepRecord> record = RunStep();
    if (!record.ok()) {
      return Annotate(
          record.status(),
          absl::StrCat("stage ", runner_->name(), ", step ", state_.step + 1));
    }
    bool best = false;
    const bool due =
        (every > 0 && state_.step % every == 0) || state_.step == steps;
    if (validation_ != nullptr && due) {
      ASSIGN_OR_RETURN(record->validation_loss, Validate());
      ObserveValidation(schedule_, record->validation_loss, &state_.plateau);
      best = record->validation_loss < state_.best_validation;
      if (best) state_.best_validation = record->validation_loss;
    }
    RETURN_IF_ERROR(metrics_->Write(*record));
    if (options_.on_step) options_.on_step(*record, steps, total_steps_);
    if (state_.step < steps) RETURN_IF_ERROR(SaveIfDue(best));
  }
  return true;
}

absl::StatusOr<StepRecord> Trainer::RunStep() {
  const absl::Duration start = options_.clock->Now();
  const int64_t rows = job_->budget().batch();
  const int64_t first = state_.next_sample;
  RETURN_IF_ERROR(batch_.Fill(
      *data_, rows, [&](int64_t i) { return order_.RowOf(first + i); }));
  StepRecord record;
  record.learning_rate = LearningRate(schedule_, state_.plateau, state_.step);
  ASSIGN_OR_RETURN(const StepResult result,
                   runner_->Step(batch_, record.learning_rate));
  state_.next_sample += rows;
  state_.optimizer_steps = runner_->optimizer().steps();
  record.stage = runner_->name();
  record.stage_index = state_.stage_index;
  record.step = ++state_.step;
  record.global_step = ++state_.global_step;
  record.loss = result.loss;
  record.grad_norm = result.grad_norm;
  record.tokens = rows * seq_len_;
  record.tokens_per_s = static_cast<double>(record.tokens) /
                        absl::ToDoubleSeconds(options_.clock->Now() - start);
  return record;
}

absl::StatusOr<double> Trainer::Validate() {
  const int64_t rows =
      std::min<int64_t>(job_->validation().rows(), validation_->rows());
  double sum = 0, weight = 0;
  for (int64_t begin = 0; begin < rows; begin += job_->budget().batch()) {
    const int64_t n = std::min<int64_t>(job_->budget().batch(), rows - begin);
    RETURN_IF_ERROR(validation_batch_.Fill(
        *validation_, n, [&](int64_t i) { return begin + i; }));
    RETURN_IF_ERROR(runner_->Validate(validation_batch_, &sum, &weight));
  }
  return sum / weight;
}

absl::Status Trainer::SaveIfDue(bool validated_best) {
  const proto::Checkpoint& c = job_->checkpoint();
  const absl::Duration now = options_.clock->Now();
  const bool by_step =
      c.every_steps() > 0 && state_.step % c.every_steps() == 0;
  const bool by_time = c.every_seconds() > 0 &&
                       now - last_save_ >= absl::Seconds(c.every_seconds());
  const bool by_best = validated_best && c.keep_best();
  if (!by_step && !by_time && !by_best) return absl::OkStatus();
  last_save_ = now;
  return checkpointing_->Save(state_, *model_, &runner_->optimizer(), by_best);
}

}  // namespace caracal
