// A model of random weights: the shapes of known models for benchmarks, with
// nothing to download.
#ifndef CARACAL_JOBS_BENCH_SYNTHETIC_WEIGHTS_H_
#define CARACAL_JOBS_BENCH_SYNTHETIC_WEIGHTS_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "core/io/weight_source.h"

namespace caracal {

// "135m": SmolLM2-135M. "8b": Llama-3.1-8B. Matrices are uniform with standard
// deviation 0.02, norms are 1. kInvalidArgument for another name.
absl::StatusOr<std::unique_ptr<WeightSource>> SyntheticModel(
    const std::string& shape);

}  // namespace caracal

#endif  // CARACAL_JOBS_BENCH_SYNTHETIC_WEIGHTS_H_
