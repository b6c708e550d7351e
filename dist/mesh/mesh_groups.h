// The groups that a rank works in.
#ifndef CARACAL_DIST_MESH_MESH_GROUPS_H_
#define CARACAL_DIST_MESH_MESH_GROUPS_H_

#include <functional>
#include <memory>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "core/collective/collective.h"
#include "core/collective/collective_queue.h"
#include "dist/mesh/mesh.h"

namespace caracal {

// Those along the axes of a mesh. None is null but as said; groups of one rank
// are there too. A rank's number in a group is its place on the axis.
struct AxisGroups {
  MeshShape shape;
  MeshPlace place;  // of this rank
  std::unique_ptr<Collective> data;
  std::unique_ptr<Collective> tensor;
  std::unique_ptr<Collective> layer;  // the chain
  // The same ranks once more, for CollectiveQueues.
  std::unique_ptr<Collective> data_behind;
  std::unique_ptr<Collective> tensor_behind;
  std::unique_ptr<Collective> layer_behind;
  // On a device, in place of data_behind: its queue, on whose stream
  // tensor_behind is too. Null: a thread is to be made for data_behind.
  std::unique_ptr<CollectiveQueue> behind;
  // Likewise of a chain, in place of layer and layer_behind.
  std::unique_ptr<CollectiveQueue> even_links, odd_links;
};

struct MeshGroups : AxisGroups {
  std::unique_ptr<Collective> world;
  // All ranks once more, for the thread that writes checkpoints.
  std::unique_ptr<Collective> world_behind;
  // Lays the ranks out as another mesh of as many: every rank calls with the
  // same shape.
  std::function<absl::StatusOr<AxisGroups>(const MeshShape&)> lay_out;
  // How long a rank waits for another one that sends nothing.
  absl::Duration stall = absl::InfiniteDuration();
};

}  // namespace caracal

#endif  // CARACAL_DIST_MESH_MESH_GROUPS_H_
