#include "jobs/coordinator/service/left_metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "core/base/status_matchers.h"
#include "core/base/temporary_folder.h"

namespace caracal {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

std::string Line(int64_t step, int padding = 0) {
  return absl::StrCat("{\"global_step\":", step, ",\"pad\":\"",
                      std::string(padding, 'x'), "\"}");
}

class LeftMetricsTest : public ::testing::Test {
 protected:
  std::vector<std::string> After(int64_t step, size_t most = 1 << 20) {
    const auto lines = MetricsAfter(FileSystem::Posix(), path_, step, most);
    EXPECT_OK(lines.status());
    return lines.value_or(std::vector<std::string>());
  }
  void Add(const std::string& text) {
    ASSERT_OK(FileSystem::Posix()->Append(path_, text));
  }

  TemporaryFolder folder_;
  const std::string path_ = folder_.File("metrics.jsonl");
};

TEST_F(LeftMetricsTest, GivesWhatFollowsAndNoHalfLine) {
  EXPECT_THAT(MetricsAfter(FileSystem::Posix(), path_, 0, 9).status(),
              StatusIs(absl::StatusCode::kNotFound, ::testing::_));
  Add("");
  EXPECT_THAT(After(0), IsEmpty());
  for (int i = 1; i <= 4; ++i) Add(Line(i) + "\n");
  Add("{\"global_step\":5,");
  EXPECT_THAT(After(2), ElementsAre(Line(3), Line(4)));
  EXPECT_THAT(After(0), ElementsAre(Line(1), Line(2), Line(3), Line(4)));
  EXPECT_THAT(After(1, 2), ElementsAre(Line(2), Line(3)));
  EXPECT_THAT(After(4), IsEmpty());
  EXPECT_THAT(After(9), IsEmpty());
}

TEST_F(LeftMetricsTest, StopsAtWhatIsNoLineOrDoesNotFollow) {
  Add(Line(1) + "\n" + Line(2) + "\n[]\n" + Line(3) + "\n");
  EXPECT_THAT(After(1), ElementsAre(Line(2)));
  EXPECT_THAT(After(2), IsEmpty());
  Add(Line(2) + "\n");
  ASSERT_OK(FileSystem::Posix()->Remove(path_));
  Add(Line(1) + "\n" + Line(3) + "\n");
  EXPECT_THAT(After(1), IsEmpty());
  ASSERT_OK(FileSystem::Posix()->Remove(path_));
  Add(Line(1) + "\n" + Line(2, 20'000) + "\n");
  EXPECT_THAT(After(1), IsEmpty());
}

TEST_F(LeftMetricsTest, FindsItsPlaceInALongFile) {
  std::string text;
  for (int i = 1; i <= 5000; ++i) absl::StrAppend(&text, Line(i, 100), "\n");
  Add(text);
  for (const int64_t step : {0, 1, 2500, 4990, 5000}) {
    const std::vector<std::string> lines = After(step);
    ASSERT_EQ(lines.size(), 5000 - step);
    if (lines.empty()) continue;
    EXPECT_EQ(lines.front(), Line(step + 1, 100));
    EXPECT_THAT(After(step, 1), ElementsAre(Line(step + 1, 100)));
  }
}

}  // namespace
}  // namespace caracal
