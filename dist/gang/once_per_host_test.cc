#include "dist/gang/once_per_host.h"

#include <gtest/gtest.h>

#include <atomic>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/base/status_matchers.h"
#include "dist/mesh/thread_mesh.h"

namespace caracal {
namespace {

TEST(OncePerHostTest, OneRankOfAHostComputes) {
  const MeshShape shape = {.data = 5};
  std::atomic<int> calls = 0;
  std::vector<std::string> results(shape.ranks());
  RunAsMesh(shape, [&](MeshGroups& groups) {
    const int rank = groups.world->rank();
    // Rank 4 reads another file.
    Gang gang(std::move(groups), rank % 2 == 0 ? "even" : "odd");
    const auto result =
        OncePerHost(gang, rank == 4 ? "other" : "model", [&]() -> std::string {
          ++calls;
          return absl::StrCat("by ", rank);
        });
    CARACAL_CHECK_OK(result.status());
    results[rank] = *result;
  });
  EXPECT_EQ(calls, 3);
  EXPECT_EQ(results,
            (std::vector<std::string>{"by 0", "by 1", "by 0", "by 1", "by 4"}));
}

}  // namespace
}  // namespace caracal
