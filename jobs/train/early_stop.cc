#include "jobs/train/early_stop.h"

#include <algorithm>

namespace caracal {

EarlyStopDecision ObserveForEarlyStop(const proto::EarlyStop& rule,
                                      const ComponentLosses& losses,
                                      EarlyStopState* state) {
  EarlyStopDecision decision;
  bool fell = false;
  if (rule.rule() == proto::EarlyStop::COMPONENT_AWARE) {
    const double use = losses.use();
    fell = use < state->last_use;
    state->last_use = use;
    state->best_use = std::max(state->best_use, use);
    decision.score = losses.hybrid + rule.lambda() * (state->best_use - use);
  } else {
    decision.score = losses.loss;
  }
  decision.improved = decision.score < state->best_score;
  if (decision.improved) state->best_score = decision.score;
  state->bad_validations =
      decision.improved && !fell ? 0 : state->bad_validations + 1;
  decision.stop = state->bad_validations >= rule.patience();
  return decision;
}

}  // namespace caracal
