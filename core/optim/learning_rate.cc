#include "core/optim/learning_rate.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace caracal {

double LearningRate(const ScheduleSettings& settings,
                    const PlateauState& plateau, int64_t step) {
  if (step < settings.warmup_steps) {
    return settings.peak * static_cast<double>(step + 1) /
           static_cast<double>(settings.warmup_steps);
  }
  const int64_t span = settings.steps - 1 - settings.warmup_steps;
  const double done =
      span <= 0
          ? 0
          : std::min(1.0, static_cast<double>(step - settings.warmup_steps) /
                              static_cast<double>(span));
  switch (settings.shape) {
    case ScheduleShape::kConstant:
      return settings.peak;
    case ScheduleShape::kPlateau:
      return std::max(settings.peak * plateau.factor,
                      std::min(settings.peak, settings.plateau_floor));
    case ScheduleShape::kLinear:
      return settings.peak + done * (settings.decay_to - settings.peak);
    case ScheduleShape::kCosine:
      return settings.decay_to + (settings.peak - settings.decay_to) * 0.5 *
                                     (1 + std::cos(std::numbers::pi * done));
  }
  return settings.peak;
}

void ObserveValidation(const ScheduleSettings& settings, double loss,
                       PlateauState* plateau) {
  if (settings.shape != ScheduleShape::kPlateau) return;
  if (loss < plateau->best * (1 - settings.plateau_threshold)) {
    plateau->best = loss;
    plateau->bad_validations = 0;
    return;
  }
  if (++plateau->bad_validations <= settings.plateau_patience) return;
  plateau->bad_validations = 0;
  // Below the floor the rate no longer moves: neither does the factor.
  if (settings.peak * plateau->factor > settings.plateau_floor) {
    plateau->factor *= settings.plateau_factor;
  }
}

}  // namespace caracal
