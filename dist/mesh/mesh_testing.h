// What the groups of a mesh must be, whoever made them.
#ifndef CARACAL_DIST_MESH_MESH_TESTING_H_
#define CARACAL_DIST_MESH_MESH_TESTING_H_

#include <gtest/gtest.h>

#include <vector>

#include "core/base/status_matchers.h"
#include "dist/mesh/mesh_groups.h"

namespace caracal {

// Every rank asks the ranks of its groups who they are.
inline void CheckAxes(const AxisGroups& groups, int rank) {
  EXPECT_EQ(groups.place, PlaceOf(groups.shape, rank));
  const auto check = [&](Collective& group, MeshAxis axis, int at) {
    SCOPED_TRACE(testing::Message() << NameOf(axis) << " of rank " << rank);
    EXPECT_EQ(group.rank(), at);
    ASSERT_EQ(group.size(), SizeOf(axis, groups.shape));
    std::vector<int> ranks(group.size());
    EXPECT_OK(group.AllGatherBytes(&rank, sizeof(rank), ranks.data()));
    EXPECT_EQ(ranks, GroupOf(groups.shape, axis, rank));
  };
  check(*groups.data, MeshAxis::kData, groups.place.data);
  check(*groups.data_behind, MeshAxis::kData, groups.place.data);
  check(*groups.tensor, MeshAxis::kTensor, groups.place.tensor);
  check(*groups.tensor_behind, MeshAxis::kTensor, groups.place.tensor);
  check(*groups.layer, MeshAxis::kLayer, groups.place.layer);
  check(*groups.layer_behind, MeshAxis::kLayer, groups.place.layer);
}

// Also once they are laid out in each of `others`.
inline void CheckGroups(const MeshGroups& groups,
                        const std::vector<MeshShape>& others = {}) {
  EXPECT_EQ(groups.world->size(), groups.shape.ranks());
  CheckAxes(groups, groups.world->rank());
  for (const MeshShape& shape : others) {
    ASSERT_OK_AND_ASSIGN(const AxisGroups again, groups.lay_out(shape));
    EXPECT_EQ(again.shape, shape);
    CheckAxes(again, groups.world->rank());
  }
}

}  // namespace caracal

#endif  // CARACAL_DIST_MESH_MESH_TESTING_H_
