// Where a device's time goes, in builds with and without CUDA.
#ifndef CARACAL_JOBS_BENCH_KERNEL_TIMES_H_
#define CARACAL_JOBS_BENCH_KERNEL_TIMES_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace caracal {

// Of all launches of one kind.
struct KernelTime {
  std::string name;  // as kernels/ has it, "products", "collectives", "copies"
  int64_t launches = 0;
  double seconds = 0;  // kernels of two streams run at once
};

// Of what `work` puts on the device, which has to wait for it at its end: the
// longest first. For one thread of a process at a time. CUPTI measures it, and
// slows the work a little; kUnimplemented where that is not installed, or in
// builds without CUDA; errors of `work`.
absl::StatusOr<std::vector<KernelTime>> MeasureKernels(
    absl::FunctionRef<absl::Status()> work);

}  // namespace caracal

#endif  // CARACAL_JOBS_BENCH_KERNEL_TIMES_H_
