#include "jobs/train/layer_split.h"

#include <gtest/gtest.h>

namespace caracal {
namespace {

std::vector<int64_t> Sizes(const std::vector<IndexRange>& split) {
  std::vector<int64_t> sizes;
  int64_t begin = 0;
  for (const IndexRange& range : split) {
    EXPECT_EQ(range.begin, begin);
    begin = range.end;
    sizes.push_back(range.size());
  }
  return sizes;
}

using Numbers = std::vector<int64_t>;

TEST(LayerSplitTest, EqualLayersAreSharedOutEvenly) {
  EXPECT_EQ(Sizes(SplitLayers(std::vector<double>(30, 1.0), 2)),
            (Numbers{15, 15}));
  EXPECT_EQ(Sizes(SplitLayers(std::vector<double>(7, 0.1), 3)),
            (Numbers{3, 2, 2}));
  EXPECT_EQ(Sizes(SplitLayers(std::vector<double>(3, 2.0), 3)),
            (Numbers{1, 1, 1}));
  EXPECT_EQ(Sizes(SplitLayers({1, 1}, 1)), (Numbers{2}));
}

TEST(LayerSplitTest, TheLargestShareIsAsSmallAsCanBe) {
  // Softmax layers are cheaper, the last layer half.
  EXPECT_EQ(Sizes(SplitLayers({1, 1, 1, 1, 0.5}, 2)), (Numbers{2, 3}));
  EXPECT_EQ(Sizes(SplitLayers({0.5, 0.5, 0.5, 0.5, 1, 1}, 2)), (Numbers{4, 2}));
  EXPECT_EQ(Sizes(SplitLayers({5, 1, 1, 1, 1}, 2)), (Numbers{1, 4}));
}

TEST(LayerSplitTest, EveryRankGetsALayer) {
  EXPECT_EQ(Sizes(SplitLayers({1, 0, 0}, 3)), (Numbers{1, 1, 1}));
}

}  // namespace
}  // namespace caracal
