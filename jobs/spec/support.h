// What a job may say but a CUDA device does not run.
#ifndef CARACAL_JOBS_SPEC_SUPPORT_H_
#define CARACAL_JOBS_SPEC_SUPPORT_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "jobs/spec/problem.h"
#include "proto/job.pb.h"

namespace caracal {

// Everything in an expanded job for a model with heads of `head_dim` that is
// not run on a CUDA device whose blocks may have `block_bytes` of shared
// memory, by field. Whether there is a device, and what the model's other sizes
// ask of it, is found out where the job runs.
std::vector<Problem> CudaProblems(const proto::Job& expanded, int64_t head_dim,
                                  size_t block_bytes);

}  // namespace caracal

#endif  // CARACAL_JOBS_SPEC_SUPPORT_H_
