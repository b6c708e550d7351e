#include "dist/nccl/device_groups.h"

namespace caracal {

absl::StatusOr<AxisGroups> OnDevice(
    AxisGroups, Device*, absl::Duration,
    absl::FunctionRef<void(const std::string&)>) {
  return absl::UnimplementedError(
      "this program was built without NCCL, and trains on one GPU only: leave "
      "out `parallel`, or choose the device cpu");
}

}  // namespace caracal
