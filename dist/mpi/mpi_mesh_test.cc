#include "dist/mpi/mpi_mesh.h"

#include <gtest/gtest.h>

#include "core/base/status_matchers.h"
#include "dist/mesh/mesh_testing.h"
#include "dist/mpi/testing/mpi_test_main.h"

namespace caracal {
namespace {

using testing::HasSubstr;

TEST(MpiMesh, GivesEveryRankItsGroups) {
  const int ranks = TestRuntime().size();
  for (const MeshShape& shape :
       {MeshShape{.data = ranks}, MeshShape{.tensor = ranks},
        MeshShape{.layer = ranks}, MeshShape{.data = 2, .tensor = 2},
        MeshShape{.tensor = 2, .layer = 2}}) {
    if (shape.ranks() != ranks) continue;
    ASSERT_OK_AND_ASSIGN(const MeshGroups groups,
                         MakeMpiMesh(TestRuntime(), shape));
    CheckGroups(groups, {{.layer = ranks}, {.data = ranks}});
  }
}

TEST(MpiMesh, AnotherNumberOfRanksIsRefused) {
  EXPECT_THAT(MakeMpiMesh(TestRuntime(), {.data = 5}),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("is for 5 ranks, but ")));
}

}  // namespace
}  // namespace caracal
