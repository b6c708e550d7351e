// The speed of a training stage: the steps of a job, by the trainer's own
// runner, on random rows.
#ifndef CARACAL_JOBS_BENCH_TRAINING_BENCH_H_
#define CARACAL_JOBS_BENCH_TRAINING_BENCH_H_

#include "absl/status/status.h"
#include "core/io/weight_source.h"
#include "dist/gang/gang.h"
#include "jobs/bench/bench.h"
#include "jobs/model/compute.h"

namespace caracal {

// Loads the model and fills in what is known of a training stage. All ranks of
// the gang call. kInvalidArgument naming the option.
absl::Status MeasureTraining(const BenchOptions& options,
                             const WeightSource& source, Compute& compute,
                             Gang& gang, BenchResult* result);

}  // namespace caracal

#endif  // CARACAL_JOBS_BENCH_TRAINING_BENCH_H_
