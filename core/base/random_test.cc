#include "core/base/random.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

namespace caracal {
namespace {

TEST(RandomTest, GivesAsManyBytesAsAreAskedFor) {
  for (const size_t count : {0, 1, 255, 256, 257, 1000}) {
    EXPECT_EQ(RandomBytes(count).size(), count);
    EXPECT_EQ(RandomHex(count).size(), 2 * count);
  }
  // The last of several pieces is filled, too.
  const std::string bytes = RandomBytes(600);
  EXPECT_FALSE(std::all_of(bytes.end() - 64, bytes.end(),
                           [](char c) { return c == '\0'; }));
}

TEST(RandomTest, NoTwoAreAlike) {
  std::set<std::string> seen;
  for (int i = 0; i < 100; ++i) seen.insert(RandomHex(16));
  EXPECT_EQ(seen.size(), 100);
  EXPECT_EQ(seen.begin()->find_first_not_of("0123456789abcdef"),
            std::string::npos);
}

}  // namespace
}  // namespace caracal
