// What the benches of all stages do with times.
#ifndef CARACAL_JOBS_BENCH_SPEED_H_
#define CARACAL_JOBS_BENCH_SPEED_H_

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "core/base/clock.h"
#include "eval/statistics/quantile.h"
#include "jobs/bench/bench.h"
#include "jobs/bench/kernel_times.h"

namespace caracal {

// Since an unspecified start.
inline double SecondsNow() {
  return absl::ToDoubleSeconds(Clock::Real()->Now());
}

// The result's speed from the tokens/s of its steps; of one at least.
inline void SetSpeed(const std::vector<double>& rates, BenchResult* result) {
  const auto [low, high] = std::minmax_element(rates.begin(), rates.end());
  result->tokens_per_s = Median(rates);
  result->low = *low;
  result->high = *high;
}

// Where a step's time goes, or why that is not known.
inline void SetKernels(absl::StatusOr<std::vector<KernelTime>> kernels,
                       BenchResult* result) {
  if (kernels.ok()) {
    result->kernels = *std::move(kernels);
  } else {
    result->no_kernels = std::string(kernels.status().message());
  }
}

}  // namespace caracal

#endif  // CARACAL_JOBS_BENCH_SPEED_H_
