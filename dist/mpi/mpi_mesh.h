// The groups of a mesh over MPI.
#ifndef CARACAL_DIST_MPI_MPI_MESH_H_
#define CARACAL_DIST_MPI_MPI_MESH_H_

#include "absl/status/statusor.h"
#include "dist/mesh/mesh_groups.h"
#include "dist/mpi/mpi_runtime.h"

namespace caracal {

// This rank's. Every rank of the runtime calls with the same shape and
// options; destroyed before the runtime, which it borrows. kInvalidArgument
// when the shape is for another number of ranks than were started.
absl::StatusOr<MeshGroups> MakeMpiMesh(
    MpiRuntime& runtime, const MeshShape& shape,
    const MpiOptions& options = MpiOptions());

}  // namespace caracal

#endif  // CARACAL_DIST_MPI_MPI_MESH_H_
