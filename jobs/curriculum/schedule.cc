#include "jobs/curriculum/schedule.h"

#include <cmath>
#include <numbers>

namespace caracal {
namespace {

// Place of a step on the way from the first to the last, [0, 1].
double Progress(int64_t step, int64_t steps) {
  return steps < 2 ? 0
                   : static_cast<double>(step) / static_cast<double>(steps - 1);
}

}  // namespace

double ValueAt(const proto::ValueSchedule& schedule, int64_t step,
               int64_t steps) {
  if (schedule.step_size() > 0) {
    const int64_t piece = step * schedule.step_size() / steps;
    return schedule.step(static_cast<int>(piece));
  }
  if (schedule.has_linear()) {
    const proto::ValueSchedule::Ramp& ramp = schedule.linear();
    return ramp.from() + (ramp.to() - ramp.from()) * Progress(step, steps);
  }
  if (schedule.has_cosine()) {
    const proto::ValueSchedule::Ramp& ramp = schedule.cosine();
    const double fall =
        (1 + std::cos(std::numbers::pi * Progress(step, steps))) / 2;
    return ramp.to() + (ramp.from() - ramp.to()) * fall;
  }
  return schedule.constant();
}

ScheduledValues ScheduledValuesAt(const proto::Curriculum& curriculum,
                                  int64_t step, int64_t steps) {
  ScheduledValues values;
  if (curriculum.has_drop()) {
    values.drop_probability = ValueAt(curriculum.drop(), step, steps);
  }
  if (curriculum.has_window()) {
    values.window = std::llround(ValueAt(curriculum.window(), step, steps));
  }
  return values;
}

}  // namespace caracal
