// What a job may say but this version does not run yet.
#ifndef CARACAL_JOBS_SPEC_SUPPORT_H_
#define CARACAL_JOBS_SPEC_SUPPORT_H_

#include <cstdint>
#include <vector>

#include "jobs/spec/problem.h"
#include "proto/job.pb.h"

namespace caracal {

// Everything in an expanded job that is not run on a CUDA device, by field.
// Whether there is a device, and what the model's shape asks of it, is found
// out where the job runs. `head_dim`: the model's; 0: not known yet.
std::vector<Problem> CudaProblems(const proto::Job& expanded,
                                  int64_t head_dim = 0);

// Appends a problem for everything in an expanded job that is not run.
void CheckSupport(const proto::Job& expanded, std::vector<Problem>* problems);

}  // namespace caracal

#endif  // CARACAL_JOBS_SPEC_SUPPORT_H_
