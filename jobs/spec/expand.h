// A job with everything written out: what is run, saved in the run folder and
// shown by `caracal explain`.
#ifndef CARACAL_JOBS_SPEC_EXPAND_H_
#define CARACAL_JOBS_SPEC_EXPAND_H_

#include "proto/job.pb.h"

namespace caracal {

// Presets become stages, shorthands move into the stages they stand for, and
// every field with a default is set. Idempotent. Never fails: what cannot be
// filled in (a missing path, steps nobody gave) stays unset for ValidateJob to
// report. Left to the trainer, which knows the model: attention.features.
proto::Job ExpandJob(const proto::Job& job);

}  // namespace caracal

#endif  // CARACAL_JOBS_SPEC_EXPAND_H_
