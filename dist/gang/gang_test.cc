#include "dist/gang/gang.h"

#include <gtest/gtest.h>

#include <utility>
#include <vector>

#include "core/base/status_matchers.h"
#include "dist/mesh/thread_mesh.h"

namespace caracal {
namespace {

TEST(GangTest, OneProcessHasNobodyToAsk) {
  Gang gang;
  EXPECT_TRUE(gang.alone());
  EXPECT_TRUE(gang.leads());
  double value = 2.5;
  EXPECT_OK(gang.Sum(absl::MakeSpan(&value, 1)));
  EXPECT_EQ(value, 2.5);
  EXPECT_EQ(gang.Agree(absl::DataLossError("x")), absl::DataLossError("x"));
}

TEST(GangTest, SumsAreTheSameOnAllRanks) {
  const MeshShape shape = {.data = 2, .tensor = 2};
  std::vector<std::vector<double>> sums(shape.ranks());
  RunAsMesh(shape, [&](MeshGroups& groups) {
    Gang gang(std::move(groups));
    std::vector<double> values = {1.0 + gang.rank(), 1e-17,
                                  gang.speaks_for_tensor_group()};
    if (gang.rank() == 1) values[1] = 1;
    CARACAL_CHECK_OK(gang.Sum(absl::MakeSpan(values)));
    sums[gang.rank()] = values;
  });
  EXPECT_EQ(sums[0], (std::vector<double>{10, 1 + 1e-17 + 1e-17 + 1e-17, 2}));
  for (const std::vector<double>& values : sums) EXPECT_EQ(values, sums[0]);
}

TEST(GangTest, TheFirstErrorIsEverybodys) {
  const MeshShape shape = {.data = 3};
  std::vector<absl::Status> seen(shape.ranks());
  RunAsMesh(shape, [&](MeshGroups& groups) {
    Gang gang(std::move(groups));
    const int rank = gang.rank();
    CARACAL_CHECK_OK(gang.Agree(absl::OkStatus()));
    seen[rank] = gang.Agree(rank == 0   ? absl::OkStatus()
                            : rank == 1 ? absl::DataLossError("rows.h5 is cut")
                                        : absl::InternalError("later"));
  });
  for (int rank = 0; rank < 3; ++rank) {
    EXPECT_EQ(seen[rank].code(), absl::StatusCode::kDataLoss);
    EXPECT_EQ(seen[rank].message(),
              rank == 1 ? "rows.h5 is cut" : "rank 1: rows.h5 is cut");
  }
}

}  // namespace
}  // namespace caracal
