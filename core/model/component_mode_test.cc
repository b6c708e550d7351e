#include "core/model/component_mode.h"

#include <gtest/gtest.h>

#include "core/base/status_matchers.h"
#include "kernels/hybrid_attention/hybrid_attention.h"

namespace caracal {
namespace {

TEST(ComponentMode, NamesGoBothWays) {
  for (int i = 0; i <= static_cast<int>(ComponentMode::kTeacherSwa); ++i) {
    const ComponentMode mode = static_cast<ComponentMode>(i);
    ASSERT_OK_AND_ASSIGN(const ComponentMode back,
                         ComponentModeFromName(NameOf(mode)));
    EXPECT_EQ(back, mode);
  }
  EXPECT_THAT(ComponentModeFromName("hybird"),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       testing::HasSubstr("swa_only")));
}

TEST(ComponentMode, AdaptersAreOffForTheTeacherOnly) {
  EXPECT_FALSE(AdaptersOn(ComponentMode::kTeacher));
  EXPECT_FALSE(AdaptersOn(ComponentMode::kTeacherSwa));
  EXPECT_TRUE(AdaptersOn(ComponentMode::kSoftmax));
  EXPECT_TRUE(AdaptersOn(ComponentMode::kHybrid));
}

TEST(ComponentMode, TermsPartitionTheKeys) {
  using namespace kernels;  // NOLINT
  // Window, sinks and past make the hybrid, without overlap.
  EXPECT_EQ(TermsOf(ComponentMode::kHybrid),
            TermsOf(ComponentMode::kSwaOnly) | TermsOf(ComponentMode::kLaPast));
  EXPECT_EQ(TermsOf(ComponentMode::kSwaOnly) & TermsOf(ComponentMode::kLaOnly),
            0);
  EXPECT_EQ(TermsOf(ComponentMode::kTeacherSwa),
            TermsOf(ComponentMode::kSwaOnly));
  EXPECT_EQ(TermsOf(ComponentMode::kNone), 0);
}

}  // namespace
}  // namespace caracal
