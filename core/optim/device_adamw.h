// AdamW's part on a device, in builds with and without CUDA.
#ifndef CARACAL_CORE_OPTIM_DEVICE_ADAMW_H_
#define CARACAL_CORE_OPTIM_DEVICE_ADAMW_H_

#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/device/device.h"
#include "kernels/adamw/adamw.h"
#include "kernels/common/context.h"
#include "kernels/common/tensor_view.h"

namespace caracal {

// All tensors in one launch. Moments are on the device from MomentsToDevice()
// on.
class DeviceAdamW {
 public:
  // fp32, flat or not, of one size: value and gradient on the device (quicker
  // where they start at multiples of 16 bytes); moments in host memory.
  struct Tensor {
    TensorView value, grad;
    TensorView first, second;
    bool counts = true;  // its gradient in the norm
  };

  virtual ~DeviceAdamW() = default;
  virtual void MomentsToDevice() = 0;
  virtual absl::Status MomentsToHost() = 0;  // waits
  // Of the gradients that count, as they are on the stream now: comes with the
  // next wait for the device.
  virtual void BeginSumOfSquares(const Context& ctx) = 0;
  // What was begun last, once. Waits if nobody has since. Not finite when an
  // element is not.
  virtual double SumOfSquares() = 0;
  // A config each tensor. Does not wait.
  virtual void Step(const Context& ctx,
                    const std::vector<kernels::AdamWConfig>& configs) = 0;
};

// Borrows the device and the tensors. kResourceExhausted.
absl::StatusOr<std::unique_ptr<DeviceAdamW>> MakeDeviceAdamW(
    Device* device, const std::vector<DeviceAdamW::Tensor>& tensors);

}  // namespace caracal

#endif  // CARACAL_CORE_OPTIM_DEVICE_ADAMW_H_
