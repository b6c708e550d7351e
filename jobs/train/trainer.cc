#include "jobs/train/trainer.h"

#include <algorithm>
#include <cmath>

#include "core/base/status.h"
#include "core/collective/agree.h"
#include "core/device/device.h"
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

// Whether what the stage trains has one.
bool HasLinearPart(const proto::Stage& stage) {
  const ComponentMode mode =
      ModeFromProto(stage.has_transfer() ? stage.transfer().student_mode()
                                         : stage.finetune().student_mode());
  return !IsFullSoftmax(mode) &&
         (TermsOf(mode) & TermsOf(ComponentMode::kLaPast)) != 0;
}

}  // namespace

Trainer::Trainer(const proto::Job* job, Llama* model, Execution exec,
                 Gang* gang, PackedDataset* data, PackedDataset* validation,
                 Checkpointing* checkpointing, MetricsWriter* metrics,
                 TrainerOptions options)
    : job_(job),
      model_(model),
      exec_(exec),
      gang_(gang),
      data_(data),
      validation_(validation),
      checkpointing_(checkpointing),
      metrics_(metrics),
      options_(std::move(options)),
      own_curriculum_(job),
      source_(options_.curriculum != nullptr ? options_.curriculum
                                             : &own_curriculum_),
      seq_len_(SeqLenOf(*job, *data)),
      micro_batch_(MicroBatchOf(*job)),
      my_rows_(job->budget().batch() / gang->shape().data),
      order_(data->rows(), job->data().shuffle(), job->seed()),
      // On the host every core trains.
      batches_(data, order_, my_rows_, seq_len_,
               job->attention().reset_at_document(), exec.device != nullptr),
      validation_batch_(my_rows_, seq_len_,
                        job->attention().reset_at_document()) {
  for (const proto::Stage& stage : job->stages()) {
    total_steps_ += StepsOf(stage);
  }
  if (validation_ != nullptr) {
    probe_ = std::make_unique<HeldOutProbe>(
        model_, exec_, gang_, validation_, job->validation().rows(), seq_len_,
        micro_batch_, job->attention().reset_at_document());
  }
}

absl::StatusOr<bool> Trainer::Run(TrainState state, int end) {
  state_ = state;
  last_save_ = options_.clock->Now();
  const absl::StatusOr<bool> ended = RunStages(end);
  // What the trainer gives back may wait for all that its device has.
  if (!ended.ok() && exec_.device != nullptr) gang_->Lost(ended.status());
  return ended;
}

absl::StatusOr<bool> Trainer::RunStages(int end) {
  while (state_.stage_index < end) {
    const bool empty = StepsOf(job_->stages(state_.stage_index)) == 0;
    ASSIGN_OR_RETURN(const bool finished, RunStage());
    if (!finished) return false;
    // The last validation may have been the best.
    std::optional<double> best;
    if (job_->checkpoint().keep_best() && state_.step > 0 &&
        state_.best_step == state_.step) {
      best = state_.best_validation;
    }
    // All but the cursors of the whole run starts afresh.
    TrainState next;
    next.stage_index = state_.stage_index + 1;
    next.global_step = state_.global_step;
    if (!job_->data().restart_each_stage()) {
      next.next_sample = state_.next_sample;
    }
    // Stages without steps go with the one before: their checkpoint would be
    // the same, of the same step.
    while (next.stage_index < end &&
           StepsOf(job_->stages(next.stage_index)) == 0) {
      ++next.stage_index;
    }
    state_ = next;
    runner_ = nullptr;
    rows_ = nullptr;
    const bool last = state_.stage_index == job_->stages_size();
    if (last && options_.finish) RETURN_IF_ERROR(options_.finish());
    if (empty && !last) continue;  // Nothing new to save.
    RETURN_IF_ERROR(checkpointing_->Save(state_, *model_, nullptr, best));
    last_save_ = options_.clock->Now();
  }
  RETURN_IF_ERROR(checkpointing_->Wait());
  return true;
}

absl::Status Trainer::StartStage() {
  const proto::Stage& stage = job_->stages(state_.stage_index);
  rows_ = std::make_unique<StageRows>(
      data_, order_,
      StageRowsOptions{
          .first_sample = state_.next_sample,
          .steps = StepsOf(stage) - state_.step,
          .batch = job_->budget().batch(),
          .my_rows = my_rows_,
          .data_rank = gang_->place().data,
          .micro_batch = micro_batch_,
          .seq_len = seq_len_,
          .reset_at_document = job_->attention().reset_at_document()});
  noted_recording_ = false;
  runner_ = MakeStageRunner(stage, *job_, model_, exec_, gang_, micro_batch_,
                            rows_.get());
  schedule_ = ScheduleOf(stage);
  has_linear_part_ = HasLinearPart(stage);
  early_stop_ = nullptr;
  curriculum_ = nullptr;
  directed_ = {};
  if (stage.has_transfer() && stage.transfer().has_early_stop()) {
    early_stop_ = &stage.transfer().early_stop();
  }
  if (stage.has_finetune()) {
    const proto::FinetuneStage& s = stage.finetune();
    if (s.has_early_stop()) early_stop_ = &s.early_stop();
    if (s.has_curriculum()) curriculum_ = &s.curriculum();
  }
  if (state_.at_stage_start()) {
    if (curriculum_ != nullptr && curriculum_->has_closed_loop()) {
      state_.closed_loop = ClosedLoopAtStart(*curriculum_, StepsOf(stage));
    }
    return absl::OkStatus();
  }
  RETURN_IF_ERROR(checkpointing_->RestoreMoments(runner_->optimizer()));
  runner_->optimizer().set_steps(state_.optimizer_steps);
  return absl::OkStatus();
}

absl::StatusOr<bool> Trainer::RunStage() {
  RETURN_IF_ERROR(StartStage());
  ASSIGN_OR_RETURN(const bool finished, RunSteps());
  RETURN_IF_ERROR(runner_->Finish());
  // What the last step left on its way is waited for where an error is told:
  // giving memory back would wait, too, without a limit.
  if (exec_.device != nullptr) RETURN_IF_ERROR(exec_.device->Wait());
  if (!finished) {
    RETURN_IF_ERROR(checkpointing_->Save(state_, *model_, &runner_->optimizer(),
                                         std::nullopt));
    RETURN_IF_ERROR(checkpointing_->Wait());
    return false;
  }
  RETURN_IF_ERROR(FinishStage());
  return true;
}

absl::StatusOr<bool> Trainer::RunSteps() {
  const int64_t steps = StepsOf(job_->stages(state_.stage_index));
  const int64_t every = job_->validation().every_steps();
  while (state_.step < steps) {
    ASSIGN_OR_RETURN(const bool stop_now, AgreeOnStep());
    if (stop_now) return false;
    absl::StatusOr<StepRecord> record = RunStep();
    if (!record.ok()) {
      return AnnotateRanked(
          record.status(),
          absl::StrCat("stage ", runner_->name(), ", step ", state_.step + 1));
    }
    NoteRecording();
    bool best = false, stop = false;
    const bool due =
        (every > 0 && state_.step % every == 0) || state_.step == steps;
    if (validation_ != nullptr && due) {
      ASSIGN_OR_RETURN(record->validation_loss, Validate());
      RETURN_IF_ERROR(
          AfterValidation(record->validation_loss, &*record, &best, &stop));
      // Ranks of a layer chain don't have all layers.
      if (has_linear_part_ && gang_->shape().layer == 1) {
        ASSIGN_OR_RETURN(record->la_mass, probe_->LaMassByLayer());
      }
    }
    RETURN_IF_ERROR(RunClosedLoop(&*record));
    if (gang_->leads()) RETURN_IF_ERROR(metrics_->Write(*record));
    if (options_.on_step) options_.on_step(*record, steps, total_steps_);
    if (stop) break;
    if (state_.step < steps) RETURN_IF_ERROR(SaveIfDue(best));
  }
  return true;
}

void Trainer::NoteRecording() {
  const absl::Status recording = runner_->recording();
  if (recording.ok() || std::exchange(noted_recording_, true)) return;
  if (!options_.note) return;
  options_.note(absl::StrCat(recording.message(),
                             "; passes are launched kernel by kernel, which is "
                             "slower where they are small"));
}

absl::Status Trainer::AfterValidation(double loss, StepRecord* record,
                                      bool* best, bool* stop) {
  ObserveValidation(schedule_, loss, &state_.plateau);
  double score = loss;
  *best = loss < state_.best_validation;
  if (early_stop_ != nullptr) {
    ComponentLosses losses{.loss = loss};
    if (early_stop_->rule() == proto::EarlyStop::COMPONENT_AWARE) {
      ASSIGN_OR_RETURN(losses.hybrid,
                       probe_->Loss(ComponentMode::kHybrid, false));
      ASSIGN_OR_RETURN(losses.swa_only,
                       probe_->Loss(ComponentMode::kSwaOnly, false));
      ASSIGN_OR_RETURN(losses.la_only,
                       probe_->Loss(ComponentMode::kLaOnly, false));
      record->early_stop.hybrid_loss = losses.hybrid;
      record->early_stop.swa_only_loss = losses.swa_only;
      record->early_stop.la_only_loss = losses.la_only;
    }
    const EarlyStopDecision decision =
        ObserveForEarlyStop(*early_stop_, losses, &state_.early_stop);
    score = record->early_stop.score = decision.score;
    *best = decision.improved;
    *stop = decision.stop;
  }
  if (*best) {
    state_.best_validation = score;
    state_.best_step = state_.step;
  }
  return absl::OkStatus();
}

absl::Status Trainer::FinishStage() {
  if (early_stop_ == nullptr || state_.best_step == 0 ||
      state_.best_step == state_.step) {
    return absl::OkStatus();
  }
  return checkpointing_->RestoreBestParameters(BestGlobalStep(state_), *model_);
}

void Trainer::SetCurriculum(StepInputs* in, StepRecord* record) {
  if (curriculum_ == nullptr) return;
  in->drop_probability = directive_.drop_probability;
  in->window = directive_.window;
  record->curriculum.held = directive_held_;
  if (curriculum_->has_drop() || curriculum_->has_closed_loop()) {
    record->curriculum.drop_probability = in->drop_probability;
  }
  if (curriculum_->has_window()) {
    record->curriculum.window = static_cast<double>(in->window);
  }
}

absl::Status Trainer::RunClosedLoop(StepRecord* record) {
  if (curriculum_ == nullptr || !curriculum_->has_closed_loop()) {
    return absl::OkStatus();
  }
  const proto::ClosedLoop& loop = curriculum_->closed_loop();
  if (state_.step % loop.every() != 0) return absl::OkStatus();
  UseMeasurement measured;
  if (std::isinf(state_.probe_teacher)) {
    ASSIGN_OR_RETURN(state_.probe_teacher,
                     probe_->Loss(ComponentMode::kTeacher, true));
    ASSIGN_OR_RETURN(state_.probe_teacher_swa,
                     probe_->Loss(ComponentMode::kTeacherSwa, true));
  }
  measured.teacher = state_.probe_teacher;
  measured.teacher_swa = state_.probe_teacher_swa;
  ASSIGN_OR_RETURN(measured.hybrid, probe_->Loss(ComponentMode::kHybrid, true));
  ASSIGN_OR_RETURN(measured.swa_only,
                   probe_->Loss(ComponentMode::kSwaOnly, true));
  ASSIGN_OR_RETURN(const ClosedLoopDecision decision, Steer(measured));
  record->closed_loop.use = decision.use;
  record->closed_loop.potential = decision.potential;
  if (!decision.held) record->closed_loop.ratio = decision.ratio;
  record->closed_loop.next_drop_probability = decision.drop_probability;
  return absl::OkStatus();
}

absl::StatusOr<StepRecord> Trainer::RunStep() {
  const absl::Duration start = options_.clock->Now();
  const int64_t rows = job_->budget().batch();
  const int64_t first = state_.next_sample + gang_->place().data * my_rows_;
  std::optional<int64_t> next;
  if (state_.step + 1 < StepsOf(job_->stages(state_.stage_index))) {
    next = first + rows;
  }
  absl::StatusOr<BatchBuffer*> batch = batches_.Read(first, next);
  RETURN_IF_ERROR(gang_->Agree(batch.status()));
  StepRecord record;
  record.learning_rate = LearningRate(schedule_, state_.plateau, state_.step);
  StepInputs in = {.learning_rate = record.learning_rate,
                   .global_step = state_.global_step};
  SetCurriculum(&in, &record);
  ASSIGN_OR_RETURN(const StepResult result, runner_->Step(**batch, in));
  state_.next_sample += rows;
  state_.optimizer_steps = runner_->optimizer().steps();
  record.stage = runner_->name();
  record.stage_index = state_.stage_index;
  record.step = ++state_.step;
  record.global_step = ++state_.global_step;
  record.loss = result.loss;
  record.grad_norm = result.grad_norm;
  record.parts = result.parts;
  if (!std::isnan(record.curriculum.drop_probability)) {
    record.curriculum.dropped_share = result.dropped_share;
  }
  record.tokens = rows * seq_len_;
  record.tokens_per_s = static_cast<double>(record.tokens) /
                        absl::ToDoubleSeconds(options_.clock->Now() - start);
  return record;
}

absl::StatusOr<double> Trainer::Validate() {
  const int64_t rows =
      std::min<int64_t>(job_->validation().rows(), validation_->rows());
  const IndexRange mine =
      Shard{gang_->place().data, gang_->shape().data}.Of(rows);
  LossSums& sums = validation_sums_;
  sums.Reset(model_->weights().config.layers);
  for (int64_t begin = mine.begin; begin < mine.end; begin += my_rows_) {
    const int64_t n = std::min<int64_t>(my_rows_, mine.end - begin);
    RETURN_IF_ERROR(validation_batch_.Fill(
        *validation_, n, [&](int64_t i) { return begin + i; }));
    RETURN_IF_ERROR(runner_->Validate(validation_batch_, &sums));
  }
  RETURN_IF_ERROR(sums.SumOver(*gang_));
  return runner_->ValidationLoss(sums);
}

absl::Status Trainer::AskForDirective() {
  if (directed_.window.Covers(state_.step) && !directed_.held &&
      !source_->Changed()) {
    return absl::OkStatus();
  }
  ASSIGN_OR_RETURN(
      directed_, source_->Direct({.stage = static_cast<int>(state_.stage_index),
                                  .step = state_.step,
                                  .loop = state_.closed_loop}));
  if (directed_.window.Covers(state_.step)) return absl::OkStatus();
  return absl::InternalError(
      absl::StrCat("no directive came for step ", state_.step));
}

absl::StatusOr<bool> Trainer::AgreeOnStep() {
  // Zeros but of the leading rank, so that a sum hands its values on as they
  // are.
  double stop = options_.stop && *options_.stop ? 1 : 0;
  double failed = 0, drop_probability = 0, window = 0, held = 0;
  absl::Status asked;
  if (curriculum_ != nullptr && gang_->leads() && stop == 0) {
    asked = AskForDirective();
    if (absl::IsCancelled(asked)) {
      stop = 1;
    } else if (!asked.ok()) {
      failed = 1;
    } else {
      directive_ = directed_.window.At(state_.step);
      drop_probability = directive_.drop_probability;
      window = static_cast<double>(directive_.window);
      held = directed_.held ? 1 : 0;
    }
  }
  double values[] = {stop, failed, drop_probability, window, held};
  if (curriculum_ == nullptr) {
    RETURN_IF_ERROR(gang_->Sum(absl::MakeSpan(values, 1)));
    return values[0] > 0;
  }
  RETURN_IF_ERROR(gang_->Sum(absl::MakeSpan(values)));
  if (values[1] > 0) RETURN_IF_ERROR(gang_->Agree(asked));
  directive_ = {values[2], static_cast<int64_t>(values[3])};
  directive_held_ = values[4] > 0;
  return values[0] > 0;
}

absl::StatusOr<ClosedLoopDecision> Trainer::Steer(
    const UseMeasurement& measured) {
  ClosedLoopDecision decision;
  absl::Status asked;
  if (gang_->leads()) {
    absl::StatusOr<CurriculumAnswer> answer =
        source_->Direct({.stage = static_cast<int>(state_.stage_index),
                         .step = state_.step,
                         .loop = state_.closed_loop,
                         .measured = measured});
    if (answer.ok()) {
      directed_ = *std::move(answer);
      state_.closed_loop = directed_.window.loop;
      decision = directed_.window.decision.value_or(decision);
    } else if (absl::IsCancelled(answer.status())) {
      // Training stops before the next step; the loop goes on where it would
      // have been.
      decision = SteerDropout(curriculum_->closed_loop(), measured,
                              &state_.closed_loop);
    } else {
      asked = answer.status();
    }
  }
  RETURN_IF_ERROR(gang_->Agree(asked));
  const double mine = gang_->leads() ? 1 : 0;
  ClosedLoopState& loop = state_.closed_loop;
  double values[] = {
      mine * loop.drop_probability,     mine * loop.smoothed_ratio,
      mine * (loop.has_ratio ? 1 : 0),  mine * decision.use,
      mine * decision.potential,        mine * decision.ratio,
      mine * decision.drop_probability, mine * (decision.held ? 1 : 0)};
  RETURN_IF_ERROR(gang_->Sum(absl::MakeSpan(values)));
  loop = {values[0], values[1], values[2] > 0};
  return ClosedLoopDecision{values[3], values[4], values[5], values[6],
                            values[7] > 0};
}

absl::Status Trainer::SaveIfDue(bool validated_best) {
  const proto::Checkpoint& c = job_->checkpoint();
  const absl::Duration now = options_.clock->Now();
  const bool by_step =
      c.every_steps() > 0 && state_.step % c.every_steps() == 0;
  // Clocks differ: the leading rank's counts.
  double time = c.every_seconds() > 0 && gang_->leads() &&
                now - last_save_ >= absl::Seconds(c.every_seconds());
  if (c.every_seconds() > 0) {
    RETURN_IF_ERROR(gang_->Sum(absl::MakeSpan(&time, 1)));
  }
  const bool by_time = time > 0;
  const bool by_best = validated_best && c.keep_best();
  if (!by_step && !by_time && !by_best) return absl::OkStatus();
  last_save_ = now;
  const absl::Status saved = checkpointing_->Save(
      state_, *model_, &runner_->optimizer(),
      by_best ? std::optional<double>(state_.best_validation) : std::nullopt);
  checkpoint_stall_ += options_.clock->Now() - now;
  return saved;
}

}  // namespace caracal
