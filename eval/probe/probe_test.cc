// Prompts: their lengths, what they state and ask, and that they are the same
// again.
#include "eval/probe/probe.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/base/status_matchers.h"
#include "core/io/tokenizer/load_tokenizer.h"
#include "eval/probe/recall.h"
#include "eval/probe/words.h"

namespace caracal {
namespace {

using ::testing::ElementsAreArray;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::StartsWith;

TEST(ParseProbeLengthsTest, ReadsNumbersWithCommasBetween) {
  const auto lengths = ParseProbeLengths("256, 1024,");
  ASSERT_OK(lengths);
  EXPECT_EQ(*lengths, (std::vector<int64_t>{256, 1024}));
  for (const char* text : {"256,long", "0", "1.5"}) {
    EXPECT_THAT(ParseProbeLengths(text).status(),
                StatusIs(absl::StatusCode::kInvalidArgument,
                         HasSubstr("expected numbers of tokens")))
        << text;
  }
}

class ProbeTest : public ::testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    auto tokenizer =
        LoadTokenizer(absl::StrCat("tests/golden/tokenizer/", GetParam()));
    ASSERT_OK(tokenizer);
    tokenizer_ = *std::move(tokenizer);
    for (const char* sentence : FillerSentences()) {
      longest_ = std::max<int64_t>(longest_, Ids(sentence).size() + 1);
    }
  }

  std::vector<int32_t> Ids(const std::string& text) const {
    auto ids = tokenizer_->Encode(text, {.add_special = false});
    EXPECT_OK(ids);
    return ids.ok() ? *ids : std::vector<int32_t>();
  }
  std::vector<ProbeSample> Make(ProbeKind kind, int64_t length, int64_t count,
                                uint64_t seed = 0) const {
    auto samples = MakeProbeSamples(kind, *tokenizer_, length, count, seed);
    EXPECT_OK(samples);
    return samples.ok() ? *samples : std::vector<ProbeSample>();
  }
  std::string Text(const ProbeSample& sample, int64_t begin,
                   int64_t end) const {
    return tokenizer_->Decode(
        absl::MakeConstSpan(sample.tokens).subspan(begin, end - begin));
  }

  std::unique_ptr<Tokenizer> tokenizer_;
  int64_t longest_ = 0;  // tokens of the longest sentence, and of a space
};

// The golden tokenizers have few merges: prompts are long.
constexpr int64_t kLength = 1500;

TEST_P(ProbeTest, AreAsLongAsAskedFor) {
  for (const ProbeKind kind : kAllProbes) {
    for (const int64_t length : {kLength, kLength + 7}) {
      for (const ProbeSample& sample : Make(kind, length, 6)) {
        const auto size = static_cast<int64_t>(sample.tokens.size());
        EXPECT_LE(size, length);
        EXPECT_GT(size, length - longest_);
        EXPECT_EQ(sample.answers.back().end, size);
        // BOS, where the model has one, is there once.
        const std::vector<int32_t>& prefix = tokenizer_->prefix_ids();
        ASSERT_TRUE(
            std::equal(prefix.begin(), prefix.end(), sample.tokens.begin()));
        if (!prefix.empty()) {
          EXPECT_EQ(
              std::count(sample.tokens.begin(), sample.tokens.end(), prefix[0]),
              1);
        }
      }
    }
  }
}

TEST_P(ProbeTest, TheSameSeedAsksTheSame) {
  for (const ProbeKind kind : kAllProbes) {
    const auto first = Make(kind, kLength, 3), again = Make(kind, kLength, 3);
    const auto other = Make(kind, kLength, 3, 1);
    // What a sample is does not depend on how many there are, but for the
    // depth of a pass key.
    for (int i = 0; i < 3; ++i) {
      EXPECT_EQ(first[i].tokens, again[i].tokens);
      EXPECT_NE(first[i].tokens, other[i].tokens);
      EXPECT_NE(first[i].tokens, first[(i + 1) % 3].tokens);
    }
  }
}

TEST_P(ProbeTest, PasskeyIsStatedOnceAndAskedForAtTheEnd) {
  for (const ProbeSample& sample : Make(ProbeKind::kPasskey, kLength, 5)) {
    ASSERT_EQ(sample.answers.size(), 1);
    const ProbeAnswer& answer = sample.answers[0];
    const std::string key = Text(sample, answer.begin, answer.end);
    ASSERT_EQ(key.size(), 6) << key;
    EXPECT_EQ(key[0], ' ');
    EXPECT_EQ(key.find_first_not_of("0123456789", 1), std::string::npos);
    EXPECT_THAT(Text(sample, answer.fact_begin, answer.fact_end),
                StartsWith(absl::StrCat(" The pass key is", key, ".")));
    const std::string before = Text(sample, 0, answer.fact_begin);
    const std::string after = Text(sample, answer.fact_end, answer.begin);
    EXPECT_EQ(before.find(key), std::string::npos);
    EXPECT_EQ(after.find(key), std::string::npos);
    EXPECT_THAT(after, EndsWith("The pass key is"));
  }
}

TEST_P(ProbeTest, PasskeysLieEvenlyDeep) {
  constexpr int kCount = 8;
  const auto samples = Make(ProbeKind::kPasskey, 2 * kLength, kCount);
  for (int i = 0; i < kCount; ++i) {
    const double depth = samples[i].Depth(samples[i].answers[0]);
    // Intro and question take the ends; sentences are not cut.
    EXPECT_NEAR(depth, (i + 0.5) / kCount, 0.1) << i;
  }
}

TEST_P(ProbeTest, CandidatesHoldTheAnswer) {
  for (const ProbeKind kind : kAllProbes) {
    for (const ProbeSample& sample : Make(kind, kLength, 3)) {
      for (const ProbeAnswer& answer : sample.answers) {
        ASSERT_EQ(answer.candidates.size(), answer.end - answer.begin);
        for (int64_t i = 0; i < answer.end - answer.begin; ++i) {
          const std::vector<int32_t>& at = answer.candidates[i];
          EXPECT_TRUE(std::is_sorted(at.begin(), at.end()));
          EXPECT_EQ(std::set<int32_t>(at.begin(), at.end()).size(), at.size());
          EXPECT_TRUE(std::binary_search(at.begin(), at.end(),
                                         sample.tokens[answer.begin + i]));
        }
        EXPECT_GT(answer.Chance(), 0);
        EXPECT_LT(answer.Chance(), kind == ProbeKind::kPasskey ? 1e-2 : 0.4);
      }
    }
  }
}

TEST_P(ProbeTest, RecallBeginsStatedSentencesAgain) {
  for (const ProbeSample& sample : Make(ProbeKind::kRecall, kLength, 4)) {
    ASSERT_EQ(sample.answers.size(), kRecallQueries);
    std::set<int64_t> facts;
    std::set<std::string> foods;
    for (const ProbeAnswer& answer : sample.answers) {
      facts.insert(answer.fact_begin);
      const std::string food = Text(sample, answer.begin, answer.end);
      foods.insert(food);
      const std::string fact = Text(sample, answer.fact_begin, answer.fact_end);
      EXPECT_THAT(fact, EndsWith(absl::StrCat(food, ".")));
      // The question is the fact up to its food, token for token.
      const int64_t before =
          answer.fact_end - answer.fact_begin - (answer.end - answer.begin) - 1;
      const auto fact_tokens =
          absl::MakeConstSpan(sample.tokens).subspan(answer.fact_begin, before);
      EXPECT_THAT(absl::MakeConstSpan(sample.tokens)
                      .subspan(answer.begin - before, before),
                  ElementsAreArray(fact_tokens));
      EXPECT_LT(sample.Depth(answer), 0.5);
    }
    EXPECT_EQ(facts.size(), kRecallQueries);
    EXPECT_EQ(foods.size(), kRecallQueries);
  }
}

TEST_P(ProbeTest, TooShortAPromptIsRefused) {
  EXPECT_THAT(
      MakeProbeSamples(ProbeKind::kPasskey, *tokenizer_, 16, 1, 0).status(),
      StatusIs(absl::StatusCode::kInvalidArgument,
               HasSubstr("a passkey prompt of 16 tokens: the shortest has")));
  EXPECT_THAT(
      MakeProbeSamples(ProbeKind::kRecall, *tokenizer_, 16, 1, 0).status(),
      StatusIs(absl::StatusCode::kInvalidArgument,
               HasSubstr("a recall prompt of 16 tokens: the shortest has")));
}

INSTANTIATE_TEST_SUITE_P(Tokenizers, ProbeTest,
                         ::testing::Values("smollm", "llama3", "gpt2"));

TEST(ProbeNamesTest, AreReadBack) {
  for (const ProbeKind kind : kAllProbes) {
    ASSERT_OK_AND_ASSIGN(const ProbeKind read, ProbeKindFromName(NameOf(kind)));
    EXPECT_EQ(read, kind);
  }
  EXPECT_THAT(ProbeKindFromName("needle").status(),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("'needle'; there are passkey, recall")));
}

TEST(ProbeWordsTest, NoTwoAreTheSame) {
  for (const auto words : {FillerSentences(), PersonNames(), FoodNames()}) {
    EXPECT_EQ(std::set<std::string>(words.begin(), words.end()).size(),
              words.size());
  }
  std::vector<std::string> both(PersonNames().begin(), PersonNames().end());
  for (const char* food : FoodNames()) {
    EXPECT_EQ(std::count(both.begin(), both.end(), food), 0) << food;
  }
}

}  // namespace
}  // namespace caracal
