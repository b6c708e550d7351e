// Text probes on the tiny golden model: how answers are scored, what is asked
// and what is not asked twice.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <cmath>
#include <memory>
#include <string>
#include <vector>

#include "core/base/status_matchers.h"
#include "core/io/tokenizer/load_tokenizer.h"
#include "eval/probe/measure_probes.h"
#include "eval/probe/probe_runner.h"
#include "tests/attribution/golden_student.h"

namespace caracal {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr kernels::HybridAttentionConfig kAttention = {.window = 8, .sinks = 4};
constexpr int64_t kVocabulary = 320;

// Tokens from a small generator, with answers of one and of two tokens.
std::vector<ProbeSample> Samples(int count, int64_t length) {
  std::vector<ProbeSample> samples;
  uint32_t state = 1;
  const auto draw = [&] {
    state = state * 1664525 + 1013904223;
    return static_cast<int32_t>((state >> 8) % kVocabulary);
  };
  for (int s = 0; s < count; ++s) {
    ProbeSample sample;
    // Samples need not be equally long.
    for (int64_t i = 0; i < length - s; ++i) sample.tokens.push_back(draw());
    const int64_t end = length - s;
    for (const auto& [begin, stop] :
         {std::pair(end - 9, end - 8), std::pair(end - 2, end)}) {
      ProbeAnswer answer{begin, stop, 5, 7, {}};
      for (int64_t i = begin; i < stop; ++i) {
        answer.candidates.push_back({sample.tokens[i], 319});
      }
      sample.answers.push_back(answer);
    }
    samples.push_back(sample);
  }
  return samples;
}

Pass ModePass(ComponentMode mode) {
  return {.name = std::string(NameOf(mode)),
          .mode = mode,
          .sinks = kAttention.sinks};
}

// Losses and likeliest tokens of one sample, by the pass that measures losses.
struct Evaluated {
  std::vector<float> nll;
  std::vector<int32_t> argmax;
};
Evaluated Evaluate(GoldenStudent& student, const ProbeSample& sample,
                   ComponentMode mode, absl::Span<const int32_t> targets) {
  const ProbeBatch rows(absl::MakeConstSpan(&sample, 1));
  TokenBatch batch = rows.batch();
  const int64_t n = batch.rows();
  batch.targets = ConstTensorView(targets.data(), {n});
  ModePlan plan;
  student.llama().Plan(batch, mode, &plan);
  Evaluated out{std::vector<float>(n), std::vector<int32_t>(n)};
  student.exec().arena->Reset();
  student.llama().Evaluate(student.exec(), batch, plan,
                           TensorView(out.nll.data(), {n}),
                           TensorView(out.argmax.data(), {n}), nullptr);
  return out;
}

TEST(ProbeRunnerTest, ScoresAreThoseOfTheLosses) {
  ASSERT_OK_AND_ASSIGN(auto student, GoldenStudent::Make(kAttention));
  const std::vector<ProbeSample> samples = Samples(5, 60);
  for (const ComponentMode mode :
       {ComponentMode::kTeacher, ComponentMode::kHybrid,
        ComponentMode::kSwaOnly, ComponentMode::kLaOnly}) {
    ProbeRunner runner(student->llama(), student->exec(), samples,
                       /*micro_batch=*/2, nullptr);
    ASSERT_OK_AND_ASSIGN(const ProbeMode scored, runner.Run(ModePass(mode)));
    EXPECT_EQ(runner.batches_run(), 3);
    ASSERT_EQ(scored.nats.size(), 10);
    size_t i = 0;
    for (const ProbeSample& sample : samples) {
      const auto targets = absl::MakeConstSpan(sample.tokens).subspan(1);
      const Evaluated own = Evaluate(*student, sample, mode, targets);
      // Against the other candidate.
      const std::vector<int32_t> rival(targets.size(), 319);
      const Evaluated other = Evaluate(*student, sample, mode, rival);
      for (const ProbeAnswer& answer : sample.answers) {
        double nats = 0;
        bool exact = true, among = true;
        for (int64_t t = answer.begin; t < answer.end; ++t) {
          nats += own.nll[t - 1];
          exact &= own.argmax[t - 1] == sample.tokens[t];
          among &= own.nll[t - 1] < other.nll[t - 1];
        }
        nats /= static_cast<double>(answer.end - answer.begin);
        EXPECT_NEAR(scored.nats[i], nats, 1e-5);
        EXPECT_EQ(scored.exact[i], exact);
        EXPECT_EQ(scored.among[i], among);
        ++i;
      }
    }
    // The comparison saw right and wrong answers.
    EXPECT_GT(std::count(scored.among.begin(), scored.among.end(), 1), 0);
    EXPECT_GT(std::count(scored.among.begin(), scored.among.end(), 0), 0);
  }
}

TEST(ProbeRunnerTest, TheLikeliestTokenIsAnExactAnswer) {
  ASSERT_OK_AND_ASSIGN(auto student, GoldenStudent::Make(kAttention));
  std::vector<ProbeSample> samples = Samples(1, 40);
  ProbeSample& sample = samples[0];
  sample.answers = {{39, 40, 5, 7, {{0}}}};
  const auto targets = absl::MakeConstSpan(sample.tokens).subspan(1);
  const int32_t likeliest =
      Evaluate(*student, sample, ComponentMode::kHybrid, targets).argmax.back();
  for (const bool right : {true, false}) {
    sample.tokens[39] = right ? likeliest : (likeliest + 1) % kVocabulary;
    sample.answers[0].candidates = {{sample.tokens[39]}};
    ProbeRunner runner(student->llama(), student->exec(), samples, 4, nullptr);
    ASSERT_OK_AND_ASSIGN(const ProbeMode scored,
                         runner.Run(ModePass(ComponentMode::kHybrid)));
    EXPECT_THAT(scored.exact, ElementsAre(right));
    // The only candidate there is.
    EXPECT_THAT(scored.among, ElementsAre(1));
  }
}

TEST(ProbeRunnerTest, RunsNothingTwice) {
  ASSERT_OK_AND_ASSIGN(auto student, GoldenStudent::Make({.window = 60}));
  const std::vector<ProbeSample> samples = Samples(4, 60);
  ProbeRunner runner(student->llama(), student->exec(), samples, 2, nullptr);
  const Pass hybrid{.name = "hybrid", .mode = ComponentMode::kHybrid};
  ASSERT_OK_AND_ASSIGN(const ProbeMode first, runner.Run(hybrid));
  EXPECT_EQ(runner.batches_run(), 2);
  // The window sees everything: nothing is left for a linear part.
  ASSERT_OK_AND_ASSIGN(
      const ProbeMode same,
      runner.Run({.name = "swa_only", .mode = ComponentMode::kSwaOnly}));
  EXPECT_EQ(runner.batches_run(), 2);
  EXPECT_EQ(first.nats, same.nats);
  EXPECT_EQ(same.mode, "swa_only");
  ASSERT_OK(
      runner.Run({.name = "la_only", .mode = ComponentMode::kLaOnly}).status());
  EXPECT_EQ(runner.batches_run(), 4);
}

TEST(ProbeRunnerTest, StopsBetweenBatches) {
  ASSERT_OK_AND_ASSIGN(auto student, GoldenStudent::Make(kAttention));
  const std::atomic<bool> stop = true;
  const std::vector<ProbeSample> samples = Samples(2, 40);
  ProbeRunner runner(student->llama(), student->exec(), samples, 2, &stop);
  EXPECT_TRUE(absl::IsCancelled(
      runner.Run(ModePass(ComponentMode::kTeacher)).status()));
}

class MeasureProbesTest : public ::testing::Test {
 protected:
  void SetUp() override {
    auto tokenizer = LoadTokenizer("tests/golden/model/tiny_gqa");
    ASSERT_OK(tokenizer);
    tokenizer_ = *std::move(tokenizer);
    auto student = GoldenStudent::Make(kAttention);
    ASSERT_OK(student);
    student_ = *std::move(student);
    options_.samples = 3;
  }

  absl::StatusOr<std::vector<ProbeResult>> Measure() {
    return MeasureProbes(student_->llama(), student_->exec(), *tokenizer_,
                         options_);
  }

  std::unique_ptr<Tokenizer> tokenizer_;
  std::unique_ptr<GoldenStudent> student_;
  ProbeOptions options_;
};

TEST_F(MeasureProbesTest, NobodyIsAskedWhatTheTeacherCannotDo) {
  options_.lengths = {500, 440, 500};
  std::vector<int> done;
  int total = 0;
  options_.progress = [&](const std::string&, int so_far, int in_all) {
    done.push_back(so_far);
    total = in_all;
  };
  ASSERT_OK_AND_ASSIGN(const std::vector<ProbeResult> results, Measure());
  ASSERT_EQ(results.size(), 4);
  for (const ProbeResult& result : results) {
    EXPECT_FALSE(TeacherCan(result));
    ASSERT_EQ(result.modes.size(), 1);
    EXPECT_EQ(result.modes[0].mode, "teacher");
    EXPECT_EQ(result.samples, 3);
    EXPECT_EQ(result.digest.size(), 16);
    EXPECT_GT(result.chance, 0);
  }
  EXPECT_EQ(results[0].probe, "passkey");
  EXPECT_EQ(results[0].length, 440);
  EXPECT_EQ(results[1].length, 500);
  EXPECT_EQ(results[2].probe, "recall");
  EXPECT_EQ(results[0].answers(), 3);
  EXPECT_EQ(results[2].answers(), 12);
  EXPECT_NE(results[0].digest, results[1].digest);
  // A pass that nobody needed counts as done.
  EXPECT_THAT(done, ElementsAre(6, 12, 18, 24));
  EXPECT_EQ(total, 24);
  EXPECT_EQ(total, ProbePasses(options_, student_->llama()));
}

TEST_F(MeasureProbesTest, FactsLieOutsideWindowAndSinks) {
  options_.kinds = {ProbeKind::kRecall};
  options_.lengths = {500};
  const auto reach = [&](const kernels::HybridAttentionConfig& attention) {
    student_->llama().adapters().set_attention(attention);
    const auto results = Measure();
    EXPECT_OK(results);
    return results.ok() ? (*results)[0].reach() : -1;
  };
  EXPECT_EQ(reach({.window = 8}), 1);
  EXPECT_EQ(reach({.window = 500}), 0);
  // Sinks over the prompt's beginning hold some facts, and one in part.
  const double some = reach({.window = 8, .sinks = 50});
  EXPECT_GT(some, 0);
  EXPECT_LT(some, 1);
  EXPECT_EQ(reach({.window = 8, .sinks = 480}), 0);
}

TEST_F(MeasureProbesTest, WhatCannotBeAskedIsRefused) {
  options_.lengths = {513};
  EXPECT_THAT(Measure().status(),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("513 tokens: the model's context has 512")));
  options_.lengths = {64};
  EXPECT_THAT(Measure().status(), StatusIs(absl::StatusCode::kInvalidArgument,
                                           HasSubstr("the shortest has")));
}

TEST_F(MeasureProbesTest, DefaultLengthsFitTheContext) {
  options_.kinds = {ProbeKind::kRecall};
  // The tiny tokenizer's prompts are longer than the first of them.
  EXPECT_THAT(Measure().status(), StatusIs(absl::StatusCode::kInvalidArgument,
                                           HasSubstr("prompt of 256 tokens")));
  // 256 and 512 tokens.
  EXPECT_EQ(ProbePasses(options_, student_->llama()), 2 * 6);
}

}  // namespace
}  // namespace caracal
