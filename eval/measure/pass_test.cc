// Which passes are the same.
#include "eval/measure/pass.h"

#include <gtest/gtest.h>

namespace caracal {
namespace {

using kernels::HybridAttentionConfig;
using kernels::WindowKind;

constexpr int64_t kLong = 100;

std::string Key(ComponentMode mode, const HybridAttentionConfig& config,
                int64_t longest = kLong, bool lora = true) {
  return SameLosses({.name = "any", .mode = mode}, config, longest, lora);
}

std::string Key(int terms, const HybridAttentionConfig& config,
                int64_t longest = kLong) {
  return SameLosses({.name = "other", .terms = static_cast<uint8_t>(terms)},
                    config, longest, true);
}

TEST(EffectiveTermsTest, FarKeysNeedRowsLongerThanTheWindow) {
  const HybridAttentionConfig config = {.window = 16, .sinks = 4};
  const auto terms = [&](int64_t longest) {
    return EffectiveTerms(kernels::kHybridTerms, config, longest);
  };
  constexpr uint8_t kNear = kernels::kNearTerms | kernels::kNearSinkTerms;
  EXPECT_EQ(terms(16), kNear);
  // Far sinks come first, then the past that is no sink.
  EXPECT_EQ(terms(17), kNear | kernels::kFarSinkTerms);
  EXPECT_EQ(terms(20), kNear | kernels::kFarSinkTerms);
  EXPECT_EQ(terms(21), kernels::kHybridTerms);
}

TEST(EffectiveTermsTest, TerracedWindowsSeeTwoBlocks) {
  const HybridAttentionConfig config = {.window = 16,
                                        .window_kind = WindowKind::kTerraced};
  const auto past = [&](int64_t longest) {
    return EffectiveTerms(kernels::kLinearPastTerms, config, longest);
  };
  EXPECT_EQ(past(32), 0);
  EXPECT_EQ(past(33), kernels::kLinearPastTerms);
}

// At 70 tokens L_n of the last row begins behind the near keys, at 10 (a
// shorter document of the same row) even those are linear.
TEST(EffectiveTermsTest, LolcatsWindowsKeepAllTerms) {
  const HybridAttentionConfig config = {
      .window = 16, .window_kind = WindowKind::kLolcatsTerraced};
  for (const int64_t longest : {10, 16, 17, 70}) {
    EXPECT_EQ(EffectiveTerms(kernels::kHybridTerms, config, longest),
              kernels::kHybridTerms);
  }
}

TEST(EffectiveTermsTest, WithoutSinksTheirTermsAreGone) {
  EXPECT_EQ(EffectiveTerms(kernels::kHybridTerms, {.window = 16}, kLong),
            kernels::kNearTerms | kernels::kLinearPastTerms);
}

TEST(SameLossesTest, SubsetsThatAreModes) {
  const HybridAttentionConfig config = {.window = 16, .sinks = 4};
  EXPECT_EQ(Key(kernels::kHybridTerms, config),
            Key(ComponentMode::kHybrid, config));
  EXPECT_EQ(Key(kernels::kNoTerms, config), Key(ComponentMode::kNone, config));
  EXPECT_NE(Key(kernels::kFarSinkTerms, config),
            Key(ComponentMode::kSinksOnly, config));
  EXPECT_NE(Key(kernels::kFarSinkTerms | kernels::kLinearPastTerms, config),
            Key(ComponentMode::kLaPast, config));
}

TEST(SameLossesTest, WithoutSinksDroppingTheWindowLeavesLaPast) {
  const HybridAttentionConfig config = {.window = 16};
  EXPECT_EQ(Key(kernels::kFarSinkTerms | kernels::kLinearPastTerms, config),
            Key(ComponentMode::kLaPast, config));
}

TEST(SameLossesTest, WithoutReachTheLinearPartIsNothing) {
  const HybridAttentionConfig config = {.window = 16, .sinks = 4};
  EXPECT_EQ(Key(ComponentMode::kHybrid, config, 20),
            Key(ComponentMode::kSwaOnly, config, 20));
  EXPECT_NE(Key(ComponentMode::kHybrid, config, 21),
            Key(ComponentMode::kSwaOnly, config, 21));
  EXPECT_NE(Key(ComponentMode::kLaOnly, config, 20),
            Key(ComponentMode::kNone, config, 20));
}

TEST(SameLossesTest, WithoutLoraTheTeachersWindowIsTheStudents) {
  const HybridAttentionConfig config = {.window = 16, .sinks = 4};
  const auto key = [&](ComponentMode mode, bool lora) {
    return Key(mode, config, kLong, lora);
  };
  EXPECT_EQ(key(ComponentMode::kTeacherSwa, false),
            key(ComponentMode::kSwaOnly, false));
  EXPECT_NE(key(ComponentMode::kTeacherSwa, true),
            key(ComponentMode::kSwaOnly, true));
  EXPECT_EQ(key(ComponentMode::kTeacher, false),
            key(ComponentMode::kSoftmax, false));
  EXPECT_NE(key(ComponentMode::kTeacher, true),
            key(ComponentMode::kSoftmax, true));
}

TEST(SameLossesTest, OtherSinksAreAnotherPass) {
  EXPECT_NE(Key(ComponentMode::kTeacherSwa, {.window = 16, .sinks = 4}),
            Key(ComponentMode::kTeacherSwa, {.window = 16}));
}

TEST(SameLossesTest, AnAblationIsItsOwnUnlessNothingIsLost) {
  const HybridAttentionConfig config = {.window = 16, .sinks = 4};
  const auto key = [&](int64_t layer, int64_t head, int64_t longest) {
    return SameLosses({.ablated_layer = layer, .ablated_head = head}, config,
                      longest, true);
  };
  EXPECT_NE(key(0, -1, kLong), key(-1, -1, kLong));
  EXPECT_NE(key(0, -1, kLong), key(1, -1, kLong));
  EXPECT_NE(key(0, 1, kLong), key(0, -1, kLong));
  EXPECT_EQ(key(0, 1, 20), key(-1, -1, 20));
}

}  // namespace
}  // namespace caracal
