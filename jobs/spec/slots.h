// What a job takes of a machine, or of the part of it that gangs share.
#ifndef CARACAL_JOBS_SPEC_SLOTS_H_
#define CARACAL_JOBS_SPEC_SLOTS_H_

#include <cstdint>

#include "proto/job.pb.h"

namespace caracal {

// A slot is a thread of a rank. A job that names no `threads` takes all of the
// `slots` there are, and more when it has more ranks than that.
int64_t SlotsOf(const proto::Job& job, int64_t slots);

// Threads of each of its ranks, when it is given `slots`.
int ThreadsOf(const proto::Job& job, int64_t slots);

}  // namespace caracal

#endif  // CARACAL_JOBS_SPEC_SLOTS_H_
