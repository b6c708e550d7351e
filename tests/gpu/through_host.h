// For tests: groups of ranks that share one GPU, which NCCL does not have.
#ifndef CARACAL_TESTS_GPU_THROUGH_HOST_H_
#define CARACAL_TESTS_GPU_THROUGH_HOST_H_

#include "absl/status/statusor.h"
#include "core/device/device.h"
#include "dist/mesh/mesh_groups.h"

namespace caracal {

// As OnDevice() of dist/nccl, but that every tensor and every exchanged piece
// goes through the host's group: what is on the stream before is waited for.
absl::StatusOr<AxisGroups> OnSharedDevice(AxisGroups host, Device* device);

}  // namespace caracal

#endif  // CARACAL_TESTS_GPU_THROUGH_HOST_H_
