#include "core/io/rope_config.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "core/base/status_matchers.h"
#include "core/io/io_golden.h"

namespace caracal {
namespace {

using ::testing::HasSubstr;

constexpr int64_t kHeadDim = 64;  // of the goldens

// The library computes powers in fp32 as we do; its vectorised pow may be off
// by an ulp, and each division adds half of one.
void ExpectFrequencies(const std::string& name, const RopeConfig& rope) {
  const std::vector<float> expected = IoGolden::Load().InvFreq(name);
  const std::vector<float> out = InvFreq(rope, kHeadDim);
  ASSERT_EQ(out.size(), expected.size());
  for (size_t i = 0; i < out.size(); ++i) {
    EXPECT_NEAR(out[i], expected[i], 2 * 0x1p-23 * expected[i])
        << name << " " << i;
  }
}

TEST(RopeConfig, FrequenciesMatchTransformers) {
  ExpectFrequencies("default", {});
  ExpectFrequencies("smollm2", {.theta = 100000});
  ExpectFrequencies("linear", {.scaling = RopeScaling::kLinear, .factor = 4});
  ExpectFrequencies(
      "llama3",
      {.theta = 500000, .scaling = RopeScaling::kLlama3, .factor = 8});
}

TEST(RopeConfig, DivisorsDivide) {
  const std::vector<float> plain = InvFreq({}, 8);
  const std::vector<float> out = InvFreq({.divisors = {1, 2, 4, 8}}, 8);
  for (int i = 0; i < 4; ++i) EXPECT_EQ(out[i], plain[i] / (1 << i));
}

TEST(RopeConfig, RefusesBadValues) {
  const auto kCode = absl::StatusCode::kInvalidArgument;
  const double nan = std::nan("");
  EXPECT_OK(Validate(RopeConfig(), 64));
  EXPECT_THAT(Validate({.theta = 0.5}, 64),
              StatusIs(kCode, "rope_theta is 0.5, expected 1 to 1e12"));
  EXPECT_THAT(Validate({.theta = nan}, 64),
              StatusIs(kCode, HasSubstr("rope_theta is nan")));
  EXPECT_THAT(Validate({.factor = 0}, 64),
              StatusIs(kCode, HasSubstr("rope scaling factor is 0")));
  RopeConfig llama3{.scaling = RopeScaling::kLlama3};
  EXPECT_OK(Validate(llama3, 64));
  llama3.high_freq_factor = 1;
  EXPECT_THAT(Validate(llama3, 64),
              StatusIs(kCode, HasSubstr("low_freq_factor < high_freq_factor")));
  llama3 = {.scaling = RopeScaling::kLlama3, .original_max_positions = 0};
  EXPECT_THAT(
      Validate(llama3, 64),
      StatusIs(kCode, HasSubstr("original_max_position_embeddings is 0")));
  EXPECT_THAT(Validate({.divisors = {1, 1}}, 8),
              StatusIs(kCode,
                       "there are 2 rope frequency factors, expected "
                       "4"));
  EXPECT_THAT(Validate({.divisors = {1, 0}}, 4),
              StatusIs(kCode, HasSubstr("a rope frequency factor is 0")));
}

}  // namespace
}  // namespace caracal
