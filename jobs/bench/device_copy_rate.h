// The rate at which a device moves its memory.
#ifndef CARACAL_JOBS_BENCH_DEVICE_COPY_RATE_H_
#define CARACAL_JOBS_BENCH_DEVICE_COPY_RATE_H_

#include "absl/status/statusor.h"
#include "core/device/device.h"

namespace caracal {

// Bytes/s, read and written, of a copy far larger than its caches: the best of
// some runs. kResourceExhausted where 2 GiB are not free.
absl::StatusOr<double> DeviceCopyRate(Device* device);

}  // namespace caracal

#endif  // CARACAL_JOBS_BENCH_DEVICE_COPY_RATE_H_
