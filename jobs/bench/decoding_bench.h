// The speed of greedy decoding.
#ifndef CARACAL_JOBS_BENCH_DECODING_BENCH_H_
#define CARACAL_JOBS_BENCH_DECODING_BENCH_H_

#include "absl/status/status.h"
#include "core/io/weight_source.h"
#include "core/model/llama_weights.h"
#include "jobs/bench/bench.h"
#include "jobs/model/compute.h"

namespace caracal {

// Loads the model, its weights in that form, and fills in what is known of
// decoding. kInvalidArgument naming the option.
absl::Status MeasureDecoding(const BenchOptions& options,
                             const WeightSource& source, WeightForm form,
                             Compute& compute, BenchResult* result);

}  // namespace caracal

#endif  // CARACAL_JOBS_BENCH_DECODING_BENCH_H_
