// A mesh whose ranks are threads of one process, for tests.
#ifndef CARACAL_DIST_MESH_THREAD_MESH_H_
#define CARACAL_DIST_MESH_THREAD_MESH_H_

#include <functional>

#include "dist/mesh/mesh_groups.h"

namespace caracal {

// Calls `work` on shape.ranks() threads, each with its own groups, and returns
// when all have returned.
void RunAsMesh(const MeshShape& shape,
               const std::function<void(MeshGroups&)>& work);

}  // namespace caracal

#endif  // CARACAL_DIST_MESH_THREAD_MESH_H_
