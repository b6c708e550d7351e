// What a job may say but this version does not run yet. A feature becomes
// available by deleting its row in support.cc.
#ifndef CARACAL_JOBS_SPEC_SUPPORT_H_
#define CARACAL_JOBS_SPEC_SUPPORT_H_

#include <vector>

#include "jobs/spec/problem.h"
#include "proto/job.pb.h"

namespace caracal {

// Appends a problem for everything in an expanded job that is not run: by
// field, or under `preset` for what the preset itself brought in.
void CheckSupport(const proto::Job& expanded, std::vector<Problem>* problems);

}  // namespace caracal

#endif  // CARACAL_JOBS_SPEC_SUPPORT_H_
