// Runs the stages of an expanded job, on one process or as a rank of a gang:
// steps, validations, learning rates, metrics and checkpoints.
#ifndef CARACAL_JOBS_TRAIN_TRAINER_H_
#define CARACAL_JOBS_TRAIN_TRAINER_H_

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "core/base/clock.h"
#include "core/base/file_system.h"
#include "core/io/dataset/packed_dataset.h"
#include "core/model/llama.h"
#include "dist/gang/gang.h"
#include "jobs/curriculum/source.h"
#include "jobs/train/batch_reader.h"
#include "jobs/train/checkpointing.h"
#include "jobs/train/held_out_probe.h"
#include "jobs/train/make_stage_runner.h"
#include "jobs/train/metrics_writer.h"
#include "jobs/train/row_order.h"
#include "jobs/train/stage_rows.h"
#include "jobs/train/train_state.h"
#include "proto/job.pb.h"

namespace caracal {

struct TrainerOptions {
  // Read at step boundaries: save a checkpoint and return.
  const std::atomic<bool>* stop = nullptr;
  // After each step: what it gave, and the steps of its stage and of all.
  std::function<void(const StepRecord&, int64_t, int64_t)> on_step;
  // What a user should know of how this rank runs, once a stage.
  std::function<void(const std::string&)> note;
  // When all stages of the job are done, before their last checkpoint: may
  // still change the parameters. Not called again by a run that goes on after
  // it.
  std::function<absl::Status()> finish;
  // Whom the leading rank asks what the curriculum sets. Null: the job alone.
  CurriculumSource* curriculum = nullptr;
  Clock* clock = Clock::Real();
};

// All pointers are borrowed and must outlive the trainer; validation data may
// be null. Not thread-safe.
class Trainer {
 public:
  // Every rank of the gang has one, with the same job, data and state; rows
  // are shared out over its data ranks, metrics written by the one that leads.
  Trainer(const proto::Job* job, Llama* model, Execution exec, Gang* gang,
          PackedDataset* data, PackedDataset* validation,
          Checkpointing* checkpointing, MetricsWriter* metrics,
          TrainerOptions options);

  // Goes on from `state` (a default one: the start; one that Restore() of the
  // checkpointing gave: there, with its optimizer moments) to the beginning of
  // stage `end`. Returns true when it is there, false when stopped by request.
  absl::StatusOr<bool> Run(TrainState state, int end);

  const TrainState& state() const { return state_; }
  // What checkpoints on the way took of this thread's time, those at the ends
  // of stages apart.
  absl::Duration checkpoint_stall() const { return checkpoint_stall_; }

 private:
  absl::StatusOr<bool> RunStages(int end);
  absl::StatusOr<bool> RunStage();
  absl::StatusOr<bool> RunSteps();
  absl::StatusOr<StepRecord> RunStep();
  absl::StatusOr<double> Validate();
  // Once of a stage whose passes could not be recorded.
  void NoteRecording();
  // What a validation leads to: the record's losses, whether this is the best
  // state so far, and whether the stage stops.
  absl::Status AfterValidation(double loss, StepRecord* record, bool* best,
                               bool* stop);
  // What the curriculum sets for the coming step, in the same exchange as
  // whether any rank was asked to stop. True when one was.
  absl::StatusOr<bool> AgreeOnStep();
  // By the leading rank.
  absl::Status AskForDirective();
  void SetCurriculum(StepInputs* in, StepRecord* record);
  absl::Status RunClosedLoop(StepRecord* record);
  // What the closed loop makes of it, for the coming step on.
  absl::StatusOr<ClosedLoopDecision> Steer(const UseMeasurement& measured);
  absl::Status StartStage();
  // The stage's best parameters, where early stopping asks for them.
  absl::Status FinishStage();
  absl::Status SaveIfDue(bool validated_best);

  const proto::Job* job_;
  Llama* model_;
  Execution exec_;
  Gang* gang_;
  PackedDataset* data_;
  PackedDataset* validation_;
  Checkpointing* checkpointing_;
  MetricsWriter* metrics_;
  TrainerOptions options_;
  OwnCurriculum own_curriculum_;
  CurriculumSource* source_;  // of directives

  int64_t seq_len_, micro_batch_;
  int64_t my_rows_;  // of a step's batch
  int64_t total_steps_ = 0;
  RowOrder order_;
  BatchReader batches_;
  BatchBuffer validation_batch_;
  LossSums validation_sums_;
  TrainState state_;
  std::unique_ptr<StageRows> rows_;      // of the current stage
  std::unique_ptr<StageRunner> runner_;  // likewise
  bool noted_recording_ = false;         // likewise
  ScheduleSettings schedule_;            // of the current stage
  // Likewise; null: none.
  const proto::EarlyStop* early_stop_ = nullptr;
  bool has_linear_part_ = false;  // likewise: of what it trains
  const proto::Curriculum* curriculum_ = nullptr;
  CurriculumAnswer directed_;  // by it, on the leading rank
  Directive directive_;        // of the coming step
  bool directive_held_ = false;
  std::unique_ptr<HeldOutProbe> probe_;
  absl::Duration last_save_, checkpoint_stall_;
};

}  // namespace caracal

#endif  // CARACAL_JOBS_TRAIN_TRAINER_H_
