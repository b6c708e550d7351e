#include "core/optim/device_adamw.h"

namespace caracal {

absl::StatusOr<std::unique_ptr<DeviceAdamW>> MakeDeviceAdamW(
    Device*, const std::vector<DeviceAdamW::Tensor>&) {
  return absl::UnimplementedError("this program was built without CUDA");
}

}  // namespace caracal
