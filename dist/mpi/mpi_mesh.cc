#include "dist/mpi/mpi_mesh.h"

#include "absl/strings/str_cat.h"
#include "core/base/status.h"

namespace caracal {
namespace {

constexpr absl::Duration kChainNap = absl::Milliseconds(5);
// Tensor ranks wait for each other at every product, for a few milliseconds
// when their shares differ; to wake up from a nap took one of those on a
// virtual machine, each time, on the way of all ranks.
constexpr absl::Duration kTensorBusy = absl::Milliseconds(50);

absl::StatusOr<AxisGroups> MakeAxes(MpiRuntime& runtime, const MeshShape& shape,
                                    const MpiOptions& options) {
  RETURN_IF_ERROR(CheckRanks(shape, runtime.size()));
  const int rank = runtime.rank();
  AxisGroups groups;
  groups.shape = shape;
  groups.place = PlaceOf(shape, rank);
  const auto make = [&](const char* what, MeshAxis axis) {
    const std::vector<int> ranks = GroupOf(shape, axis, rank);
    MpiOptions own = options;
    // Receives along a chain are posted a micro-batch ahead, and wait behind
    // the computing thread for as long as one takes.
    if (axis == MeshAxis::kLayer) own.longest_nap = kChainNap;
    if (axis == MeshAxis::kTensor && runtime.ranks_have_cores()) {
      own.busy = kTensorBusy;
    }
    return runtime.Split(
        ranks[0], rank, absl::StrCat(what, " of ranks ", FormatRankList(ranks)),
        own);
  };
  ASSIGN_OR_RETURN(groups.data, make("data group", MeshAxis::kData));
  ASSIGN_OR_RETURN(groups.tensor, make("tensor group", MeshAxis::kTensor));
  ASSIGN_OR_RETURN(groups.layer, make("layer chain", MeshAxis::kLayer));
  ASSIGN_OR_RETURN(groups.data_behind,
                   make("second data group", MeshAxis::kData));
  ASSIGN_OR_RETURN(groups.tensor_behind,
                   make("second tensor group", MeshAxis::kTensor));
  ASSIGN_OR_RETURN(groups.layer_behind,
                   make("second layer chain", MeshAxis::kLayer));
  return groups;
}

}  // namespace

absl::StatusOr<MeshGroups> MakeMpiMesh(MpiRuntime& runtime,
                                       const MeshShape& shape,
                                       const MpiOptions& options) {
  MeshGroups groups;
  ASSIGN_OR_RETURN(static_cast<AxisGroups&>(groups),
                   MakeAxes(runtime, shape, options));
  ASSIGN_OR_RETURN(groups.world, runtime.World("group of all ranks", options));
  ASSIGN_OR_RETURN(groups.world_behind,
                   runtime.World("second group of all ranks", options));
  groups.stall = options.timeout;
  groups.lay_out = [&runtime, options](const MeshShape& another) {
    return MakeAxes(runtime, another, options);
  };
  return groups;
}

}  // namespace caracal
