// Whole files, half-written ones and bad ones.
#include "eval/report/metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <string>

#include "core/base/status_matchers.h"

namespace caracal {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

constexpr char kTwoLines[] =
    "{\"stage\": \"transfer\", \"step\": 1, \"loss\": 0.5, "
    "\"tokens_per_s\": 612.5, \"seconds\": 3}\n"
    "{\"stage\": \"finetune\", \"step\": 1, \"loss\": 4.25, "
    "\"validation_loss\": 4.5}\n";

TEST(ParseMetricsTest, ReadsLinesInOrder) {
  ASSERT_OK_AND_ASSIGN(auto metrics, ParseMetrics(kTwoLines, "m.jsonl"));
  ASSERT_EQ(metrics.size(), 2);
  EXPECT_EQ(metrics[0].stage, "transfer");
  EXPECT_EQ(metrics[0].step, 1);
  EXPECT_EQ(metrics[0].loss, 0.5);
  EXPECT_EQ(metrics[0].tokens_per_s, 612.5);
  EXPECT_TRUE(std::isnan(metrics[0].validation_loss));
  EXPECT_EQ(metrics[1].stage, "finetune");
  EXPECT_TRUE(std::isnan(metrics[1].tokens_per_s));
  EXPECT_EQ(metrics[1].validation_loss, 4.5);
}

TEST(ParseMetricsTest, ReadsWhatSteeredAStep) {
  ASSERT_OK_AND_ASSIGN(
      auto metrics,
      ParseMetrics(
          "{\"stage\": \"finetune\", \"step\": 1, \"loss\": 4, "
          "\"drop_probability\": 0.9, \"dropped_share\": 0.875, "
          "\"window\": 64, \"u\": 0.02, \"u_star\": 0.11, \"r\": 0.18, "
          "\"next_drop_probability\": 0.95, \"hybrid_loss\": 3.9, "
          "\"swa_only_loss\": 3.92, \"la_only_loss\": 6.2, "
          "\"early_stop_score\": 3.91}\n"
          "{\"stage\": \"finetune\", \"step\": 2, \"loss\": 3}\n",
          "m.jsonl"));
  ASSERT_EQ(metrics.size(), 2);
  const StepMetrics& m = metrics[0];
  EXPECT_EQ(m.drop_probability, 0.9);
  EXPECT_EQ(m.dropped_share, 0.875);
  EXPECT_EQ(m.window, 64);
  EXPECT_EQ(m.u, 0.02);
  EXPECT_EQ(m.u_star, 0.11);
  EXPECT_EQ(m.r, 0.18);
  EXPECT_EQ(m.next_drop_probability, 0.95);
  EXPECT_EQ(m.hybrid_loss, 3.9);
  EXPECT_EQ(m.swa_only_loss, 3.92);
  EXPECT_EQ(m.la_only_loss, 6.2);
  EXPECT_EQ(m.early_stop_score, 3.91);
  EXPECT_TRUE(std::isnan(metrics[1].drop_probability));
  EXPECT_TRUE(std::isnan(metrics[1].early_stop_score));
}

TEST(ParseMetricsTest, EveryCutLeavesTheWholeLinesBefore) {
  const absl::string_view text = kTwoLines;
  const size_t first = text.find('\n') + 1;
  for (size_t size = 0; size <= text.size(); ++size) {
    ASSERT_OK_AND_ASSIGN(auto metrics,
                         ParseMetrics(text.substr(0, size), "m.jsonl"));
    const size_t whole = size + 1 >= text.size() ? 2
                         : size + 1 >= first     ? 1
                                                 : 0;
    EXPECT_EQ(metrics.size(), whole) << "cut at " << size;
  }
}

TEST(ParseMetricsTest, BadLineInTheMiddleNamesFileAndLine) {
  const std::string good = "{\"stage\": \"t\", \"step\": 1, \"loss\": 1}\n";
  const auto error = [&](const std::string& line) {
    return ParseMetrics(good + "\n" + line + "\n" + good, "m.jsonl");
  };
  EXPECT_THAT(
      error("{\"stage\": \"t"),
      StatusIs(absl::StatusCode::kInvalidArgument,
               AllOf(HasSubstr("m.jsonl:3"), HasSubstr("not a JSON object"))));
  EXPECT_THAT(error("[1]"), StatusIs(absl::StatusCode::kInvalidArgument,
                                     HasSubstr("not a JSON object")));
  EXPECT_THAT(error("{\"step\": 1, \"loss\": 1}"),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("no text `stage`")));
  EXPECT_THAT(error("{\"stage\": \"t\", \"step\": 1.5, \"loss\": 1}"),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("no whole number `step`")));
  EXPECT_THAT(
      error("{\"stage\": \"t\", \"step\": 1}"),
      StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("no `loss`")));
  EXPECT_THAT(error("{\"stage\": \"t\", \"step\": 1, \"loss\": \"x\"}"),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("`loss` is string, expected a number")));
}

TEST(ParseMetricsTest, RepeatedStepsOfAResumedRunCountOnce) {
  ASSERT_OK_AND_ASSIGN(
      auto metrics,
      ParseMetrics("{\"stage\": \"t\", \"step\": 1, \"loss\": 1}\n"
                   "{\"stage\": \"t\", \"step\": 2, \"loss\": 2}\n"
                   "{\"stage\": \"t\", \"step\": 2, \"loss\": 2.5}\n"
                   "{\"stage\": \"t\", \"step\": 3, \"loss\": 3}\r\n",
                   "m.jsonl"));
  ASSERT_EQ(metrics.size(), 3);
  EXPECT_EQ(metrics[1].loss, 2.5);
  EXPECT_EQ(metrics[2].step, 3);
}

TEST(ParseMetricsTest, NullLossIsNan) {
  ASSERT_OK_AND_ASSIGN(
      auto metrics,
      ParseMetrics("{\"stage\": \"t\", \"step\": 1, \"loss\": null}", "m"));
  ASSERT_EQ(metrics.size(), 1);
  EXPECT_TRUE(std::isnan(metrics[0].loss));
}

TEST(ReadMetricsTest, ReadsAFileAndNamesAMissingOne) {
  const std::string path = ::testing::TempDir() + "/metrics.jsonl";
  ASSERT_OK(FileSystem::Posix()->WriteFileAtomically(path, kTwoLines));
  ASSERT_OK_AND_ASSIGN(auto metrics, ReadMetrics(*FileSystem::Posix(), path));
  EXPECT_EQ(metrics.size(), 2);
  EXPECT_THAT(ReadMetrics(*FileSystem::Posix(), path + ".none"),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr(".none")));
}

}  // namespace
}  // namespace caracal
