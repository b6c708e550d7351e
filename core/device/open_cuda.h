// The way to a CUDA device, in builds with and without CUDA.
#ifndef CARACAL_CORE_DEVICE_OPEN_CUDA_H_
#define CARACAL_CORE_DEVICE_OPEN_CUDA_H_

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/device/device.h"

namespace caracal {

// Whether OpenCuda would find a device that it can use: the status says what is
// missing, in one line. kUnimplemented in builds without CUDA. *block_bytes, of
// a device that is found: the shared memory that a block may have there.
absl::Status FindCuda(size_t* block_bytes = nullptr);

// The devices that the driver shows, by where they sit in this machine
// ("0000:0F:00.0"), whatever their numbers in this process. Without a driver
// none.
std::vector<std::string> CudaBusIds();

// Of the devices that the driver shows the one with that index. kUnimplemented
// in builds without CUDA; kNotFound without driver or device;
// kFailedPrecondition where driver or chip don't suit. Messages say what to do.
absl::StatusOr<std::unique_ptr<Device>> OpenCuda(int index = 0);

}  // namespace caracal

#endif  // CARACAL_CORE_DEVICE_OPEN_CUDA_H_
