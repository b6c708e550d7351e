// Verdicts on students of which it is known what their linear part does, from
// the measurement to the word.
#include <gtest/gtest.h>

#include <cmath>
#include <memory>
#include <string>
#include <vector>

#include "core/base/status_matchers.h"
#include "eval/measure/measure.h"
#include "eval/probe/probe_runner.h"
#include "eval/report/la_status.h"
#include "eval/report/probe_status.h"
#include "tests/attribution/wired_student.h"

namespace caracal {
namespace {

using LinearPart = WiredStudent::LinearPart;

// As many nats as a guess among all tokens costs.
const double kGuess = std::log(WiredStudent::kVocabulary);

constexpr int64_t kRows = 16, kTokens = 60;

class WiredTest : public ::testing::Test {
 protected:
  // A student with a window of 8 that is asked for a fact at `position`.
  void Measure(const kernels::HybridAttentionConfig& attention,
               LinearPart linear_part, int64_t position) {
    auto student = WiredStudent::Make(attention, linear_part);
    ASSERT_OK(student);
    ASSERT_OK((*student)->SetRows(kRows, kTokens, position));
    MeasureOptions options;
    options.bootstrap_samples = 200;
    auto result = MeasureAttribution((*student)->llama(), (*student)->exec(),
                                     (*student)->data(), options);
    ASSERT_OK(result);
    result_ = *std::move(result);
    judgement_ = JudgeLinearPart(result_);
  }
  double Loss(const char* mode) const {
    const ModeResult* found = result_.Find(mode);
    return found == nullptr ? NAN : found->loss;
  }

  AttributionResult result_;
  LaJudgement judgement_;
};

constexpr kernels::HybridAttentionConfig kHedgehog = {.window = 8};
constexpr kernels::HybridAttentionConfig kT2r = {
    .window = 8, .feature_map = kernels::FeatureMapKind::kT2r};

TEST_F(WiredTest, LinearAttentionThatMustCarryTheFactIsUsed) {
  for (const auto& attention : {kHedgehog, kT2r}) {
    Measure(attention, LinearPart::kFinds, /*position=*/20);
    EXPECT_EQ(judgement_.word, "used") << judgement_.rule;
    EXPECT_LT(Loss("teacher"), 0.01);
    EXPECT_LT(Loss("hybrid"), 0.01);
    EXPECT_LT(Loss("la_past"), 0.01);
    EXPECT_NEAR(Loss("swa_only"), kGuess, 1e-3);
    EXPECT_NEAR(Loss("teacher_swa"), kGuess, 1e-3);
    // Sinks in its place do not know the fact either.
    EXPECT_NEAR(Loss("swa_only_s4"), kGuess, 1e-3);
    EXPECT_NEAR(result_.what_la_brings.mean, kGuess, 0.01);
    EXPECT_NEAR(result_.ustar.mean, kGuess, 0.01);
    EXPECT_EQ(result_.reach, 1);
    // Without the linear part there is nothing: window and sinks bring none.
    ASSERT_EQ(result_.shapley.size(), 2);
    EXPECT_NEAR(result_.shapley[0].value.mean, 0, 0.01);       // window
    EXPECT_NEAR(result_.shapley[1].value.mean, kGuess, 0.01);  // linear part
  }
}

TEST_F(WiredTest, LinearAttentionThatCannotIsBypassed) {
  for (const LinearPart part : {LinearPart::kLooksAway, LinearPart::kSilent}) {
    Measure(kT2r, part, /*position=*/20);
    EXPECT_EQ(judgement_.word, "bypassed") << judgement_.rule;
    EXPECT_NEAR(Loss("hybrid"), kGuess, 1e-3);
    EXPECT_NEAR(Loss("swa_only"), kGuess, 1e-3);
    EXPECT_LT(Loss("teacher"), 0.01);
    EXPECT_NEAR(result_.ustar.mean, kGuess, 0.01);
  }
}

TEST_F(WiredTest, AFactThatFourSinksWouldHoldIsUsedAsASinkOnly) {
  Measure(kHedgehog, LinearPart::kFinds, /*position=*/2);
  EXPECT_EQ(judgement_.word, "used as a sink only") << judgement_.rule;
  EXPECT_LT(Loss("hybrid"), 0.01);
  EXPECT_NEAR(Loss("swa_only"), kGuess, 1e-3);
  EXPECT_LT(Loss("swa_only_s4"), 0.01);
}

TEST_F(WiredTest, AFactInTheWindowSaysNothing) {
  Measure(kT2r, LinearPart::kFinds, /*position=*/kTokens - 5);
  EXPECT_EQ(judgement_.word, "cannot tell: nothing to bring")
      << judgement_.rule;
  EXPECT_LT(Loss("swa_only"), 0.01);
  EXPECT_LT(Loss("teacher_swa"), 0.01);
}

TEST_F(WiredTest, LinearAttentionThatDrownsTheWindowHurts) {
  // Hedgehog's map gives every key of the past something.
  Measure(kHedgehog, LinearPart::kLooksAway, /*position=*/kTokens - 5);
  EXPECT_EQ(judgement_.word, "hurts") << judgement_.rule;
}

TEST_F(WiredTest, AWindowOverEverythingCannotTell) {
  Measure({.window = kTokens}, LinearPart::kFinds, /*position=*/20);
  EXPECT_EQ(judgement_.word, "cannot tell: reach 0.00");
  EXPECT_LT(Loss("swa_only"), 0.01);
}

// Prompts by hand: rows of the wired student, asked as a text probe is.
ProbeResult AskProbe(const kernels::HybridAttentionConfig& attention,
                     LinearPart linear_part, int64_t count, int64_t position) {
  ProbeResult probe;
  probe.probe = "wired";
  probe.length = kTokens;
  probe.samples = count;
  probe.chance = 1.0 / WiredStudent::kFacts;
  std::vector<ProbeSample> samples;
  for (int64_t i = 0; i < count; ++i) {
    ProbeAnswer answer{kTokens - 1, kTokens, position, position + 1, {{}}};
    for (int32_t fact = 0; fact < WiredStudent::kFacts; ++fact) {
      answer.candidates[0].push_back(fact);
    }
    samples.push_back({WiredStudent::Row(i, kTokens, position), {answer}});
    probe.depth.push_back(samples.back().Depth(answer));
    probe.outside.push_back(1);
  }
  auto student = WiredStudent::Make(attention, linear_part);
  EXPECT_OK(student);
  if (!student.ok()) return probe;
  ProbeRunner runner((*student)->llama(), (*student)->exec(), samples, 8,
                     nullptr);
  for (const ComponentMode mode :
       {ComponentMode::kTeacher, ComponentMode::kTeacherSwa,
        ComponentMode::kHybrid, ComponentMode::kSwaOnly}) {
    auto asked = runner.Run({.name = std::string(NameOf(mode)), .mode = mode});
    EXPECT_OK(asked);
    if (asked.ok()) probe.modes.push_back(*std::move(asked));
  }
  return probe;
}

TEST(WiredProbeTest, ProbesSeeWhatTheLinearPartCarries) {
  const ProbeResult used = AskProbe(kHedgehog, LinearPart::kFinds, 16, 20);
  EXPECT_EQ(JudgeProbe(used).word, "used");
  EXPECT_EQ(ShareExact(used, used.Find("hybrid"), ProbeFacts::kOutside).mean,
            1);
  EXPECT_EQ(ShareExact(used, used.Find("swa_only"), ProbeFacts::kOutside).mean,
            0);
}

TEST(WiredProbeTest, ProbesSeeThatItCarriesNothing) {
  const ProbeResult few = AskProbe(kHedgehog, LinearPart::kSilent, 16, 20);
  EXPECT_EQ(JudgeProbe(few).word, "no use seen: at most 0.19");
  const ProbeResult many = AskProbe(kHedgehog, LinearPart::kSilent, 48, 20);
  EXPECT_EQ(JudgeProbe(many).word, "bypassed");
}

}  // namespace
}  // namespace caracal
