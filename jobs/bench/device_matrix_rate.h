// The rate of matrix products on a device, in builds with and without CUDA.
#ifndef CARACAL_JOBS_BENCH_DEVICE_MATRIX_RATE_H_
#define CARACAL_JOBS_BENCH_DEVICE_MATRIX_RATE_H_

#include <cstdint>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "core/device/device.h"

namespace caracal {

// Outputs and inputs of a weight.
struct MatrixShape {
  int64_t out, in;
};

// FLOP/s of y = x W^T over `rows` rows, bf16 random numbers, each shape at its
// best of some runs.
absl::StatusOr<double> DeviceMatrixRate(Device* device, int64_t rows,
                                        absl::Span<const MatrixShape> shapes);

}  // namespace caracal

#endif  // CARACAL_JOBS_BENCH_DEVICE_MATRIX_RATE_H_
