// What is wrong with the stages of a job: settings that exclude or need each
// other, or that would be without effect.
#ifndef CARACAL_JOBS_SPEC_CHECK_STAGES_H_
#define CARACAL_JOBS_SPEC_CHECK_STAGES_H_

#include <vector>

#include "jobs/spec/problem.h"
#include "proto/job.pb.h"

namespace caracal {

// Whether attention in this mode has a part that feature maps are of.
bool HasLinearPart(proto::ComponentMode mode);

// Whether the stage takes optimiser steps, as far as is known before the
// expansion has filled them in.
bool TakesSteps(const proto::Stage& stage);

proto::ComponentMode StudentModeOf(const proto::Stage& stage);

// Appends the problems of an expanded job's stages, and of checkpoint.keep_best
// where a stage needs it.
void CheckStages(const proto::Job& expanded, std::vector<Problem>* problems);

}  // namespace caracal

#endif  // CARACAL_JOBS_SPEC_CHECK_STAGES_H_
