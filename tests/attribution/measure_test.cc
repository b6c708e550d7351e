// Whole attributions against the PyTorch reference, and what is not run twice.
#include "eval/measure/measure.h"

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <memory>
#include <string>
#include <vector>

#include "core/base/status_matchers.h"
#include "eval/attribution/result_intervals.h"
#include "eval/attribution/shapley.h"
#include "eval/measure/measurement.h"
#include "tests/attribution/golden_student.h"

namespace caracal {
namespace {

constexpr double kLossTolerance = 1e-4;
// As the reference's case "terms".
constexpr kernels::HybridAttentionConfig kAttention = {.window = 8, .sinks = 4};
constexpr int64_t kRows = 4, kTokens = 48;

MeasureOptions Options() {
  return {.rows = kRows,
          .seq_len = kTokens,
          .micro_batch = 3,
          .bootstrap_samples = 200};
}

absl::StatusOr<AttributionResult> Measure(
    GoldenStudent& student, const MeasureOptions& options = Options()) {
  return MeasureAttribution(student.llama(), student.exec(), student.data(),
                            options);
}

// The reference's losses with the keys of a subset of the players.
ModeResult Expected(const nlohmann::json& expected, int subset) {
  const int terms =
      ((subset & kSwaPlayer) ? kernels::kNearTerms | kernels::kNearSinkTerms
                             : 0) |
      ((subset & kLaPlayer) ? kernels::kLinearPastTerms : 0) |
      ((subset & kSinksPlayer) ? kernels::kFarSinkTerms : 0);
  for (const nlohmann::json& entry : expected["terms"]["subsets"]) {
    if (entry["terms"] != terms) continue;
    ModeResult mode;
    mode.per_row = entry["per_row"].get<std::vector<double>>();
    return mode;
  }
  ADD_FAILURE() << "no terms " << terms;
  return {};
}

TEST(MeasureTest, ShapleyValuesAreTheReferences) {
  ASSERT_OK_AND_ASSIGN(auto student, GoldenStudent::Make(kAttention));
  ASSERT_OK_AND_ASSIGN(const AttributionResult result, Measure(*student));
  std::array<ModeResult, kSubsets> losses;
  std::array<const ModeResult*, kSubsets> subsets;
  for (int s = 0; s < kSubsets; ++s) {
    losses[s] = Expected(student->expected(), s);
    subsets[s] = &losses[s];
  }
  const auto expected = ShapleyValues(subsets, true, {.resamples = 200});
  ASSERT_EQ(expected.size(), 3);
  ASSERT_EQ(result.shapley.size(), 3);
  double sum = 0;
  for (size_t i = 0; i < 3; ++i) {
    const Interval& value = result.shapley[i].value;
    EXPECT_EQ(result.shapley[i].component, expected[i].component);
    EXPECT_NEAR(value.mean, expected[i].value.mean, kLossTolerance);
    EXPECT_NEAR(value.low, expected[i].value.low, kLossTolerance);
    EXPECT_NEAR(value.high, expected[i].value.high, kLossTolerance);
    // Not all zero: the comparison says something.
    EXPECT_GT(std::abs(value.mean), 2 * kLossTolerance);
    sum += value.mean;
  }
  EXPECT_NEAR(sum, result.Find("none")->loss - result.Find("hybrid")->loss,
              1e-14);
  EXPECT_NEAR(sum, result.what_attention_brings.mean, 1e-14);
}

TEST(MeasureTest, WithoutSinksTheyHaveNoShare) {
  ASSERT_OK_AND_ASSIGN(auto student, GoldenStudent::Make({.window = 8}));
  ASSERT_OK_AND_ASSIGN(const AttributionResult result, Measure(*student));
  ASSERT_EQ(result.shapley.size(), 2);
  EXPECT_NEAR(result.shapley[0].value.mean + result.shapley[1].value.mean,
              result.Find("none")->loss - result.Find("hybrid")->loss, 1e-14);
}

TEST(MeasureTest, ShapleyNeedsHybridAndNone) {
  ASSERT_OK_AND_ASSIGN(auto student, GoldenStudent::Make(kAttention));
  MeasureOptions options = Options();
  options.modes = {ComponentMode::kHybrid, ComponentMode::kSwaOnly};
  ASSERT_OK_AND_ASSIGN(const AttributionResult result,
                       Measure(*student, options));
  EXPECT_TRUE(result.shapley.empty());
  EXPECT_FALSE(result.what_attention_brings.measured());
}

TEST(MeasureTest, EqualRowsHaveEqualDigestsWhateverTheBatch) {
  ASSERT_OK_AND_ASSIGN(auto student, GoldenStudent::Make(kAttention));
  MeasureOptions options = Options();
  options.modes = {ComponentMode::kHybrid};
  options.drops = false;
  options.baseline_sinks.clear();
  const auto digest = [&] {
    absl::StatusOr<AttributionResult> result = Measure(*student, options);
    return result.ok() ? result->settings.rows_digest : "";
  };
  const std::string first = digest();
  EXPECT_EQ(first.size(), 16);
  options.micro_batch = 1;
  EXPECT_EQ(digest(), first);
  options.skip = 1;
  EXPECT_NE(digest(), first);
  options.skip = 0;
  options.rows = 3;
  EXPECT_NE(digest(), first);
}

TEST(MeasurementTest, RunsNothingTwice) {
  ASSERT_OK_AND_ASSIGN(auto student, GoldenStudent::Make(kAttention));
  const MeasureOptions options = Options();
  Measurement measurement(student->llama(), student->exec(), student->data(),
                          options, kRows, kTokens);
  const int64_t per_pass = 2;  // batches: 3 rows and 1
  const auto run = [&](const Pass& pass) {
    const int64_t before = measurement.batches_run();
    EXPECT_OK(measurement.Run(pass, nullptr).status());
    return measurement.batches_run() - before;
  };
  const int64_t sinks = kAttention.sinks;
  EXPECT_EQ(run({.mode = ComponentMode::kSwaOnly, .sinks = sinks}), per_pass);
  EXPECT_EQ(run({.mode = ComponentMode::kSwaOnly, .sinks = sinks}), 0);
  EXPECT_EQ(run({.terms = kernels::kSwaOnlyTerms, .sinks = sinks}), 0);
  EXPECT_EQ(run({.mode = ComponentMode::kSwaOnly, .sinks = 0}), per_pass);
  EXPECT_EQ(run({.mode = ComponentMode::kTeacherSwa, .sinks = sinks}),
            per_pass);
}

TEST(MeasurementTest, WhatIsNotRunAgainWouldHaveBeenTheSame) {
  const kernels::HybridAttentionConfig wide = {.window = 44, .sinks = 4};
  ASSERT_OK_AND_ASSIGN(auto student, GoldenStudent::Make(wide));
  const auto losses = [&](ComponentMode mode) {
    const MeasureOptions options = Options();
    Measurement measurement(student->llama(), student->exec(), student->data(),
                            options, kRows, kTokens);
    absl::StatusOr<ModeResult> result =
        measurement.Run({.mode = mode, .sinks = wide.sinks}, nullptr);
    EXPECT_OK(result.status());
    EXPECT_EQ(measurement.batches_run(), 2);
    return result.ok() ? result->per_row : std::vector<double>();
  };
  // 48 tokens are window and sinks: there is no past.
  EXPECT_EQ(losses(ComponentMode::kHybrid), losses(ComponentMode::kSwaOnly));
}

}  // namespace
}  // namespace caracal
