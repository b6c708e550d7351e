// The groups of a mesh whose ranks have a GPU each, in builds with and without
// NCCL.
#ifndef CARACAL_DIST_NCCL_DEVICE_GROUPS_H_
#define CARACAL_DIST_NCCL_DEVICE_GROUPS_H_

#include <string>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "core/device/device.h"
#include "dist/mesh/mesh_groups.h"

namespace caracal {

// Makes NCCL's groups out of the host's, which carry from then on what concerns
// the host: data and tensor on the device's stream, those behind on one more,
// and a chain's links, even and odd, on another one each. Groups of one rank
// stay the host's. Every rank calls,
// on the thread whose current GPU is the device, which outlives the groups.
// `stall`: NcclCollective's time-out. `note` is told, in a line, if the tensor
// group has no PeerExchange, and why. kUnimplemented in builds without NCCL;
// kUnavailable.
absl::StatusOr<AxisGroups> OnDevice(
    AxisGroups host, Device* device, absl::Duration stall,
    absl::FunctionRef<void(const std::string& line)> note);

}  // namespace caracal

#endif  // CARACAL_DIST_NCCL_DEVICE_GROUPS_H_
