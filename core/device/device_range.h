// A stretch of the host's time with a name, for profilers (Nsight Systems):
// what it launches on a device is shown under it.
#ifndef CARACAL_CORE_DEVICE_DEVICE_RANGE_H_
#define CARACAL_CORE_DEVICE_DEVICE_RANGE_H_

#include "core/device/device.h"

namespace caracal {

// From construction to destruction; ranges of a thread nest. `device` may be
// null: then it is nothing.
class DeviceRange {
 public:
  DeviceRange(Device* device, const char* name) : device_(device) {
    if (device_ != nullptr) device_->BeginRange(name);
  }
  ~DeviceRange() {
    if (device_ != nullptr) device_->EndRange();
  }
  DeviceRange(const DeviceRange&) = delete;
  DeviceRange& operator=(const DeviceRange&) = delete;

 private:
  Device* device_;
};

}  // namespace caracal

#endif  // CARACAL_CORE_DEVICE_DEVICE_RANGE_H_
