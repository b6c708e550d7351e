// Which rank has which heads.
#include "core/model/shard.h"

#include <gtest/gtest.h>

#include <vector>

#include "core/base/status_matchers.h"

namespace caracal {
namespace {

std::vector<HeadSplit> All(int64_t heads, int64_t kv_heads, int ranks) {
  std::vector<HeadSplit> out;
  for (int r = 0; r < ranks; ++r) {
    absl::StatusOr<HeadSplit> split = SplitHeads(heads, kv_heads, {r, ranks});
    EXPECT_OK(split.status());
    out.push_back(split.value_or(HeadSplit()));
  }
  return out;
}

TEST(ShardTest, CountsThatDontDivideAreSplitUnevenly) {
  const Shard first{0, 3}, second{1, 3}, third{2, 3};
  EXPECT_EQ(first.Of(8).size(), 3);
  EXPECT_EQ(second.Of(8).begin, 3);
  EXPECT_EQ(third.Of(8).begin, 6);
  EXPECT_EQ(third.Of(8).end, 8);
  EXPECT_EQ(third.Of(2).size(), 0);
}

TEST(SplitHeadsTest, GroupsStayWhole) {
  const auto split = All(9, 3, 2);
  EXPECT_EQ(split[0].heads.end, 6);
  EXPECT_EQ(split[0].kv_heads.end, 2);
  EXPECT_EQ(split[1].heads.begin, 6);
  EXPECT_EQ(split[1].heads.end, 9);
  EXPECT_FALSE(split[0].kv_shared);
  EXPECT_TRUE(split[1].kv_owner);
}

TEST(SplitHeadsTest, MoreRanksThanKeyHeadsShareThem) {
  const auto split = All(9, 3, 4);
  // Two ranks have the first group: two query heads and one.
  EXPECT_EQ(split[0].heads.end, 2);
  EXPECT_EQ(split[1].heads.begin, 2);
  EXPECT_EQ(split[1].heads.end, 3);
  EXPECT_EQ(split[1].kv_heads.begin, 0);
  EXPECT_EQ(split[2].heads.begin, 3);
  EXPECT_EQ(split[3].heads.end, 9);
  EXPECT_TRUE(split[0].kv_owner);
  EXPECT_FALSE(split[1].kv_owner);
  EXPECT_TRUE(split[2].kv_owner);
  // Everybody knows that sums over ranks are needed.
  for (const HeadSplit& rank : split) EXPECT_TRUE(rank.kv_shared);
}

TEST(SplitHeadsTest, EveryHeadHasOneRank) {
  for (const auto& [heads, kv_heads] :
       {std::pair<int64_t, int64_t>{9, 3}, {32, 8}, {4, 4}, {6, 1}}) {
    for (int ranks = 1; ranks <= heads; ++ranks) {
      std::vector<int> query(heads), owners(kv_heads);
      bool possible = true;
      for (int r = 0; r < ranks; ++r) {
        const auto split = SplitHeads(heads, kv_heads, {r, ranks});
        if (!split.ok()) {
          possible = false;
          break;
        }
        EXPECT_GT(split->heads.size(), 0);
        EXPECT_EQ(split->heads.size() % split->kv_heads.size(), 0);
        for (int64_t h = split->heads.begin; h < split->heads.end; ++h) {
          ++query[h];
          const int64_t kv = h / (heads / kv_heads);
          EXPECT_TRUE(kv >= split->kv_heads.begin && kv < split->kv_heads.end);
        }
        for (int64_t k = split->kv_heads.begin; k < split->kv_heads.end; ++k) {
          owners[k] += split->kv_owner;
        }
      }
      if (!possible) continue;
      EXPECT_EQ(query, std::vector<int>(heads, 1)) << heads << " " << ranks;
      EXPECT_EQ(owners, std::vector<int>(kv_heads, 1)) << heads << " " << ranks;
    }
  }
}

TEST(SplitHeadsTest, NoRankWithoutAHead) {
  // 7 ranks over 3 groups of 3: fine; 10 would leave a group with 4 ranks.
  EXPECT_OK(SplitHeads(9, 3, {6, 7}).status());
  EXPECT_THAT(SplitHeads(9, 3, {0, 10}).status(),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       testing::HasSubstr("cannot be split over 10 ranks")));
}

}  // namespace
}  // namespace caracal
