#include "jobs/curriculum/closed_loop.h"

#include <algorithm>

namespace caracal {
namespace {

// Nats; a smaller u* is noise, and dividing by it would be too.
constexpr double kLeastPotential = 1e-4;

}  // namespace

ClosedLoopDecision SteerDropout(const proto::ClosedLoop& loop,
                                const UseMeasurement& measured,
                                ClosedLoopState* state) {
  ClosedLoopDecision decision;
  decision.use = measured.swa_only - measured.hybrid;
  decision.potential = measured.teacher_swa - measured.teacher;
  decision.held = !(decision.potential > kLeastPotential);
  if (!decision.held) {
    decision.ratio = decision.use / decision.potential;
    const double old = loop.smoothing();
    state->smoothed_ratio = state->has_ratio ? old * state->smoothed_ratio +
                                                   (1 - old) * decision.ratio
                                             : decision.ratio;
    state->has_ratio = true;
    state->drop_probability =
        std::clamp(state->drop_probability +
                       loop.gain() * (loop.target() - state->smoothed_ratio),
                   loop.p_min(), loop.p_max());
  }
  decision.drop_probability = state->drop_probability;
  return decision;
}

}  // namespace caracal
