// Closed-loop dropout: steers p, the drop probability, by what linear
// attention is measured to bring. Pure: state in, measurement in, decision
// out.
//     r = u / u*,   u = loss(swa_only) - loss(hybrid),
//                   u* = loss(teacher_swa) - loss(teacher)
//     r_s = smoothing r_s + (1 - smoothing) r          (the first r as it is)
//     p <- clamp(p + gain (target - r_s), p_min, p_max)
#ifndef CARACAL_JOBS_CURRICULUM_CLOSED_LOOP_H_
#define CARACAL_JOBS_CURRICULUM_CLOSED_LOOP_H_

#include "proto/job.pb.h"

namespace caracal {

// Goes into checkpoints.
struct ClosedLoopState {
  double drop_probability = 0;
  double smoothed_ratio = 0;
  bool has_ratio = false;
};

// Held-out losses of a probe whose rows all have a past outside the window.
struct UseMeasurement {
  double teacher = 0, teacher_swa = 0, hybrid = 0, swa_only = 0;
};

struct ClosedLoopDecision {
  double use = 0;        // u
  double potential = 0;  // u*
  double ratio = 0;      // r, not smoothed
  double drop_probability = 0;
  // The past outside the window is worth nothing to the teacher on this
  // probe, so that r says nothing: p stays.
  bool held = false;
};

ClosedLoopDecision SteerDropout(const proto::ClosedLoop& loop,
                                const UseMeasurement& measured,
                                ClosedLoopState* state);

}  // namespace caracal

#endif  // CARACAL_JOBS_CURRICULUM_CLOSED_LOOP_H_
