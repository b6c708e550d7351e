#include "dist/mesh/mesh.h"

#include <gtest/gtest.h>

#include <atomic>

#include "core/base/status_matchers.h"
#include "dist/mesh/mesh_testing.h"
#include "dist/mesh/thread_mesh.h"

namespace caracal {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

TEST(Mesh, TensorRunsFastestThenLayersThenData) {
  const MeshShape shape = {.data = 2, .tensor = 3, .layer = 4};
  EXPECT_EQ(shape.ranks(), 24);
  EXPECT_EQ(PlaceOf(shape, 0), (MeshPlace{0, 0, 0}));
  EXPECT_EQ(PlaceOf(shape, 2), (MeshPlace{.data = 0, .tensor = 2, .layer = 0}));
  EXPECT_EQ(PlaceOf(shape, 3), (MeshPlace{.data = 0, .tensor = 0, .layer = 1}));
  EXPECT_EQ(PlaceOf(shape, 23),
            (MeshPlace{.data = 1, .tensor = 2, .layer = 3}));
  for (int rank = 0; rank < 24; ++rank) {
    EXPECT_EQ(RankAt(shape, PlaceOf(shape, rank)), rank);
  }
  EXPECT_THAT(GroupOf(shape, MeshAxis::kTensor, 4), ElementsAre(3, 4, 5));
  EXPECT_THAT(GroupOf(shape, MeshAxis::kLayer, 4), ElementsAre(1, 4, 7, 10));
  EXPECT_THAT(GroupOf(shape, MeshAxis::kData, 4), ElementsAre(4, 16));
}

TEST(Mesh, OnlyTheRightNumberOfRanksWillDo) {
  EXPECT_OK(CheckRanks({.data = 2, .tensor = 2}, 4));
  EXPECT_THAT(CheckRanks({.data = 2, .tensor = 2}, 3),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       "the layout data 2 x layer 1 x tensor 2 is for 4 ranks, "
                       "but 3 were started"));
  EXPECT_THAT(CheckRanks({}, 2), StatusIs(absl::StatusCode::kInvalidArgument,
                                          HasSubstr("is for 1 rank, but 2")));
}

TEST(Mesh, Text) {
  EXPECT_EQ(FormatRanks({}), "rank 0: alone\n");
  EXPECT_EQ(
      FormatRanks({.data = 2, .tensor = 2}),
      "rank 0: data 0 of 2, tensor 0 of 2; data group 0 2, tensor group 0 1\n"
      "rank 1: data 0 of 2, tensor 1 of 2; data group 1 3, tensor group 0 1\n"
      "rank 2: data 1 of 2, tensor 0 of 2; data group 0 2, tensor group 2 3\n"
      "rank 3: data 1 of 2, tensor 1 of 2; data group 1 3, tensor group 2 "
      "3\n");
  EXPECT_EQ(FormatRanks({.data = 1024 / 8, .tensor = 8}, 1),
            "rank 0: data 0 of 128, tensor 0 of 8; data group 0 8 16 ... "
            "1016, tensor group 0 1 2 3 4 5 6 7\nand 1023 more\n");
  EXPECT_EQ(FormatRanks({.layer = 3}, 1),
            "rank 0: layer 0 of 3; layer chain 0 1 2\nand 2 more\n");
}

TEST(ThreadMesh, GivesEveryRankItsGroups) {
  for (const MeshShape shape :
       {MeshShape{}, MeshShape{.data = 2, .tensor = 3},
        MeshShape{.data = 2, .tensor = 2, .layer = 2}}) {
    std::atomic<int> ranks = 0;
    RunAsMesh(shape, [&](MeshGroups& groups) {
      CheckGroups(groups);
      ++ranks;
    });
    EXPECT_EQ(ranks, shape.ranks());
  }
}

}  // namespace
}  // namespace caracal
