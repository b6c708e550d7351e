// Where a run stands between two optimiser steps: all that a checkpoint holds
// beside tensors.
#ifndef CARACAL_JOBS_TRAIN_TRAIN_STATE_H_
#define CARACAL_JOBS_TRAIN_TRAIN_STATE_H_

#include <cstdint>
#include <limits>
#include <string>

#include "absl/status/statusor.h"
#include "core/optim/learning_rate.h"
#include "jobs/curriculum/closed_loop.h"
#include "jobs/train/early_stop.h"

namespace caracal {

// Every random draw is keyed by seed, step and sample, so these cursors are
// the whole state of the generators too.
struct TrainState {
  int64_t stage_index = 0;  // stage that runs next; = stages when done
  int64_t step = 0;         // steps done in it
  int64_t global_step = 0;  // steps done in all
  int64_t next_sample = 0;  // of the row order
  int64_t optimizer_steps = 0;
  PlateauState plateau;
  // Of the current stage: the best validation loss, or with early stopping the
  // best score; checkpoints are kept by it.
  double best_validation = std::numeric_limits<double>::infinity();
  int64_t best_step = 0;  // step of the stage it was seen after
  EarlyStopState early_stop;
  ClosedLoopState closed_loop;
  // Of the closed loop's probe: neither changes while a stage trains.
  double probe_teacher = std::numeric_limits<double>::infinity();
  double probe_teacher_swa = std::numeric_limits<double>::infinity();

  // Not started at the current stage: no optimizer state to read.
  bool at_stage_start() const { return step == 0; }
};

// The step, over all stages, of the current stage's best state.
inline int64_t BestGlobalStep(const TrainState& state) {
  return state.global_step - state.step + state.best_step;
}

// Doubles survive bit for bit; infinities too.
std::string TrainStateToJson(const TrainState& state);
// kDataLoss naming the missing or ill-typed key.
absl::StatusOr<TrainState> TrainStateFromJson(const std::string& text);

}  // namespace caracal

#endif  // CARACAL_JOBS_TRAIN_TRAIN_STATE_H_
