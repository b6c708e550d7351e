// Time of an optimiser step of a rank on paper: each kernel of a step at the
// rate that it, or one of its kind, was measured at, one after another.
#ifndef CARACAL_JOBS_PLAN_TIME_H_
#define CARACAL_JOBS_PLAN_TIME_H_

#include "dist/gang/gang.h"
#include "jobs/plan/machine.h"
#include "jobs/plan/stage_layout.h"

namespace caracal {

// Seconds of a step. What is sent counts as far as nothing hides it.
struct TimeEstimate {
  double products = 0;   // matrix products of the layers
  double attention = 0;  // full and hybrid, forward and backward
  double rest = 0;       // norms, RoPE, SwiGLU, adapters: bound by memory
  double loss = 0;       // the language-model head and its loss
  double optimizer = 0;
  double tensor = 0;  // what gathers and sums between tensor ranks add
  double data = 0;    // gradients beyond what backward hides; values
  double layer = 0;   // streams beyond what the chain's work hides
  double world = 0;   // sums over all ranks
  double total() const {
    return products + attention + rest + loss + optimizer + tensor + data +
           layer + world;
  }
  // Once a stage: until the last of a chain has its first stream.
  double start = 0;
};

// `traffic` is that of the rank's StepTraffic.
TimeEstimate EstimateTime(const Machine& machine, const StageLayout& layout,
                          const RankPart& part, const MeshPlace& place,
                          const GangTraffic& traffic);

// Of y = x W^T, x [m, k], W [n, k], bf16. The arithmetic, and the share of the
// memory traffic that it was not seen to hide.
double ProductSeconds(const Machine& machine, double m, double n, double k);

}  // namespace caracal

#endif  // CARACAL_JOBS_PLAN_TIME_H_
