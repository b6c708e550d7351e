#include "core/collective/agree.h"

#include <gtest/gtest.h>

#include <optional>

#include "core/base/status_matchers.h"
#include "core/collective/thread_collective.h"

namespace caracal {
namespace {

TEST(AgreeOn, NothingToTellIsOk) {
  RunAsRanks(3, [](Collective& group) {
    EXPECT_OK(AgreeOn(group, absl::OkStatus()));
  });
}

TEST(AgreeOn, TheFirstErrorIsEverybodys) {
  RunAsRanks(3, [](Collective& group) {
    const absl::Status mine =
        group.rank() == 0
            ? absl::OkStatus()
            : absl::Status(group.rank() == 1 ? absl::StatusCode::kDataLoss
                                             : absl::StatusCode::kNotFound,
                           absl::StrCat("of ", group.rank()));
    const absl::Status agreed = AgreeOn(group, mine);
    EXPECT_EQ(agreed.code(), absl::StatusCode::kDataLoss);
    EXPECT_EQ(agreed.message(), group.rank() == 1 ? "of 1" : "rank 1: of 1");
    EXPECT_EQ(RankOfError(agreed),
              group.rank() == 1 ? std::nullopt : std::optional<int>(1));
  });
}

// Agreed on twice, it is told by the rank that had it, under one number.
TEST(AgreeOn, AnErrorStaysThatOfItsRank) {
  RunAsRanks(3, [](Collective& group) {
    const absl::Status once =
        AgreeOn(group, group.rank() == 2 ? absl::DataLossError("cut")
                                         : absl::OkStatus());
    for (const absl::Status& twice :
         {AgreeOn(group, once),
          // Rank 2 may not know any more.
          AgreeOn(group, group.rank() == 2 ? absl::OkStatus() : once)}) {
      EXPECT_EQ(twice.code(), absl::StatusCode::kDataLoss);
      EXPECT_EQ(twice.message(), group.rank() == 2 && !RankOfError(twice)
                                     ? "cut"
                                     : "rank 2: cut");
      if (group.rank() != 2) {
        EXPECT_EQ(RankOfError(twice), 2);
      }
    }
  });
}

TEST(AnnotateRanked, KeepsWhoseItIs) {
  const absl::Status of_one =
      AnnotateRanked(ErrorOfRank(absl::DataLossError("cut"), 1), "step 3");
  EXPECT_EQ(of_one.message(), "step 3: cut");
  EXPECT_EQ(RankOfError(of_one), 1);
  EXPECT_EQ(RankOfError(AnnotateRanked(absl::DataLossError("cut"), "step 3")),
            std::nullopt);
}

}  // namespace
}  // namespace caracal
