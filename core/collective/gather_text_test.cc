#include "core/collective/gather_text.h"

#include <gtest/gtest.h>

#include "core/base/status_matchers.h"
#include "core/collective/thread_collective.h"

namespace caracal {
namespace {

TEST(GatherText, BringsEachRanksWholeTextInTheirOrder) {
  const std::vector<std::string> texts = {"", std::string("a\0b", 3),
                                          std::string(1000, 'x'), "z"};
  for (const int ranks : {1, 2, 4}) {
    RunAsRanks(ranks, [&](Collective& group) {
      const auto all = GatherText(group, texts[group.rank()]);
      ASSERT_OK(all);
      EXPECT_EQ(*all,
                std::vector<std::string>(texts.begin(), texts.begin() + ranks));
    });
  }
}

TEST(GatherText, OfNothingIsNothing) {
  RunAsRanks(3, [](Collective& group) {
    const auto all = GatherText(group, "");
    ASSERT_OK(all);
    EXPECT_EQ(*all, std::vector<std::string>(3));
  });
}

}  // namespace
}  // namespace caracal
