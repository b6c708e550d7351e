#include "jobs/model/rank_gpu.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <utility>

#include "core/base/status_matchers.h"
#include "dist/mesh/thread_mesh.h"

namespace caracal {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

using Gpus = std::vector<std::string>;

// What each of four ranks is given, two a host; -1: an error, whose status is
// in `status` if it is the last rank's.
std::vector<int> Choose(const std::function<Gpus(int rank)>& gpus,
                        absl::Status* status = nullptr) {
  std::vector<int> chosen(4);
  RunAsMesh({.data = 2, .tensor = 2}, [&](MeshGroups& groups) {
    const int rank = groups.world->rank();
    Gang gang(std::move(groups), rank < 2 ? "a" : "b");
    const absl::StatusOr<int> index = GpuOfRank(gang, gpus(rank));
    chosen[rank] = index.ok() ? *index : -1;
    if (rank == 3 && status != nullptr) *status = index.status();
  });
  return chosen;
}

TEST(GpuOfRankTest, EachTakesTheOneOfItsNumberOnItsHost) {
  EXPECT_THAT(Choose([](int) {
                return Gpus{"0f", "2d", "3e"};
              }),
              ElementsAre(0, 1, 0, 1));
}

TEST(GpuOfRankTest, WhereASchedulerGivesOneEachTakesThat) {
  EXPECT_THAT(Choose([](int rank) { return Gpus{std::to_string(rank % 2)}; }),
              ElementsAre(0, 0, 0, 0));
}

TEST(GpuOfRankTest, OneAloneTakesTheFirst) {
  Gang alone;
  ASSERT_OK_AND_ASSIGN(const int index, GpuOfRank(alone, {"0f", "2d"}));
  EXPECT_EQ(index, 0);
}

TEST(GpuOfRankTest, RanksThatWouldShareOneAreTold) {
  absl::Status status;
  EXPECT_THAT(Choose([](int) { return Gpus{"0f"}; }, &status),
              ElementsAre(-1, -1, -1, -1));
  EXPECT_THAT(status, StatusIs(absl::StatusCode::kFailedPrecondition,
                               HasSubstr("ranks 0 and 1 of a would share the "
                                         "GPU 0f")));
}

TEST(GpuOfRankTest, AHostWithTooFewIsTold) {
  absl::Status status;
  EXPECT_THAT(Choose(
                  [](int rank) {
                    return rank < 2 ? Gpus{"0f", "2d"} : Gpus{};
                  },
                  &status),
              ElementsAre(-1, -1, -1, -1));
  EXPECT_THAT(status, StatusIs(absl::StatusCode::kNotFound,
                               HasSubstr("b has 2 ranks, but shows 0 GPUs")));
}

}  // namespace
}  // namespace caracal
