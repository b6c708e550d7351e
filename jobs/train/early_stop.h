// When a stage ends before its last step: pure decisions over the losses of
// its validations.
#ifndef CARACAL_JOBS_TRAIN_EARLY_STOP_H_
#define CARACAL_JOBS_TRAIN_EARLY_STOP_H_

#include <cstdint>
#include <limits>

#include "proto/job.pb.h"

namespace caracal {

// Held-out losses of one validation, nats a token. Only `loss` is needed by
// the rule VALIDATION_LOSS: that of the stage's own student mode.
struct ComponentLosses {
  double loss = 0;
  double hybrid = 0, swa_only = 0, la_only = 0;
  // What linear attention brings.
  double use() const { return swa_only - hybrid; }
};

// What the rule remembers; goes into checkpoints.
struct EarlyStopState {
  double best_score = std::numeric_limits<double>::infinity();
  double best_use = -std::numeric_limits<double>::infinity();
  double last_use = -std::numeric_limits<double>::infinity();
  int64_t bad_validations = 0;  // in a row
};

struct EarlyStopDecision {
  double score = 0;       // lower is better
  bool improved = false;  // the best so far: worth keeping
  bool stop = false;
};

// Takes note of a validation.
//   VALIDATION_LOSS: score = loss; bad when the score did not improve.
//   COMPONENT_AWARE: score = loss(hybrid) + lambda max(0, u_best - u) with
//   u = loss(swa_only) - loss(hybrid) and u_best the largest u so far; bad
//   when the score did not improve or u is below that of the validation
//   before (HedgeCATs; docs/method.md).
// Stops after `patience` bad validations in a row.
EarlyStopDecision ObserveForEarlyStop(const proto::EarlyStop& rule,
                                      const ComponentLosses& losses,
                                      EarlyStopState* state);

}  // namespace caracal

#endif  // CARACAL_JOBS_TRAIN_EARLY_STOP_H_
