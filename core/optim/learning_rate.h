// Learning-rate schedules: pure functions of the step and, for `plateau`, of
// the validation losses seen.
#ifndef CARACAL_CORE_OPTIM_LEARNING_RATE_H_
#define CARACAL_CORE_OPTIM_LEARNING_RATE_H_

#include <cstdint>
#include <limits>

namespace caracal {

enum class ScheduleShape : uint8_t { kConstant, kPlateau, kLinear, kCosine };

struct ScheduleSettings {
  ScheduleShape shape = ScheduleShape::kPlateau;
  double peak = 1e-4;        // learning rate
  int64_t steps = 0;         // of the stage
  int64_t warmup_steps = 0;  // from 0 in a line
  double decay_to = 0;       // linear, cosine: rate of the last step
  double plateau_factor = 0.1;
  int64_t plateau_patience = 10;  // validations
  double plateau_floor = 1e-5;
  double plateau_threshold = 1e-4;  // relative improvement that counts
};

// What `plateau` remembers; goes into checkpoints.
struct PlateauState {
  double factor = 1;  // of the peak, so far
  double best = std::numeric_limits<double>::infinity();
  int64_t bad_validations = 0;
};

// The rate of step `step` (counted from 0) of the stage.
double LearningRate(const ScheduleSettings& settings,
                    const PlateauState& plateau, int64_t step);

// Takes note of a validation loss, as torch's ReduceLROnPlateau (mode min,
// threshold_mode rel, no cooldown). Other shapes ignore it.
void ObserveValidation(const ScheduleSettings& settings, double loss,
                       PlateauState* plateau);

}  // namespace caracal

#endif  // CARACAL_CORE_OPTIM_LEARNING_RATE_H_
