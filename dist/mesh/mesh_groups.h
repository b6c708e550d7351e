// The groups that a rank works in.
#ifndef CARACAL_DIST_MESH_MESH_GROUPS_H_
#define CARACAL_DIST_MESH_MESH_GROUPS_H_

#include <memory>

#include "core/collective/collective.h"
#include "dist/mesh/mesh.h"

namespace caracal {

// None is null; groups of one rank are there too. A rank's number in a group is
// its place on the axis (in `world`, its rank).
struct MeshGroups {
  MeshShape shape;
  MeshPlace place;  // of this rank
  std::unique_ptr<Collective> world;
  std::unique_ptr<Collective> data;
  std::unique_ptr<Collective> tensor;
  std::unique_ptr<Collective> layer;  // the chain
  // The ranks of `data` and `tensor` once more, for a CollectiveQueue.
  std::unique_ptr<Collective> data_behind;
  std::unique_ptr<Collective> tensor_behind;
  // All ranks once more, for the thread that writes checkpoints.
  std::unique_ptr<Collective> world_behind;
};

}  // namespace caracal

#endif  // CARACAL_DIST_MESH_MESH_GROUPS_H_
