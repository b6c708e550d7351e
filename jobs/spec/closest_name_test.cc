#include "jobs/spec/closest_name.h"

#include <gtest/gtest.h>

namespace caracal {
namespace {

const std::vector<std::string> kNames = {"window", "sinks", "feature_map"};

TEST(ClosestNameTest, FindsTypingErrors) {
  EXPECT_EQ(ClosestName("windw", kNames), "window");
  EXPECT_EQ(ClosestName("wnidow", kNames), "window");  // one swap
  EXPECT_EQ(ClosestName("Window", kNames), "window");
  EXPECT_EQ(ClosestName("featuremap", kNames), "feature_map");
}

TEST(ClosestNameTest, SaysNothingWhereNothingIsNear) {
  EXPECT_EQ(ClosestName("batch", kNames), "");
  EXPECT_EQ(ClosestName(std::string(10000, 'w'), kNames), "");
  EXPECT_EQ(ClosestName("x", {}), "");
}

TEST(ClosestNameTest, SuggestsOrLists) {
  EXPECT_EQ(SuggestName("sink", kNames), "did you mean 'sinks'?");
  EXPECT_EQ(SuggestChoice("tpu", {"auto", "cpu", "cuda"}),
            "expected one of auto, cpu, cuda; did you mean 'cpu'?");
  EXPECT_EQ(SuggestChoice("quantum", {"auto", "cpu"}),
            "expected one of auto, cpu");
  EXPECT_EQ(SuggestName("q", kNames),
            "expected one of window, sinks, feature_map");
  EXPECT_EQ(SuggestField("q", kNames), SuggestName("q", kNames));
  EXPECT_EQ(SuggestField("sink", kNames),
            "did you mean 'sinks'? accepted: window, sinks, feature_map");
}

}  // namespace
}  // namespace caracal
