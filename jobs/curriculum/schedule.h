// What a curriculum's schedules say, as functions of the step alone.
#ifndef CARACAL_JOBS_CURRICULUM_SCHEDULE_H_
#define CARACAL_JOBS_CURRICULUM_SCHEDULE_H_

#include <cstdint>

#include "proto/job.pb.h"

namespace caracal {

// The value at step `step` (from 0) of `steps`. Pieces of `step` are equally
// long: piece i starts at the first step with step * pieces / steps = i.
double ValueAt(const proto::ValueSchedule& schedule, int64_t step,
               int64_t steps);

// What the schedules alone say of a step; 0 where there is none.
struct ScheduledValues {
  double drop_probability = 0;
  int64_t window = 0;  // tokens, rounded to the nearest
};
ScheduledValues ScheduledValuesAt(const proto::Curriculum& curriculum,
                                  int64_t step, int64_t steps);

}  // namespace caracal

#endif  // CARACAL_JOBS_CURRICULUM_SCHEDULE_H_
