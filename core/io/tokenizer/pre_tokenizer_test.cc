#include "core/io/tokenizer/pre_tokenizer.h"

#include <string>
#include <vector>

#include "core/base/status_matchers.h"

namespace caracal {
namespace {

using ::testing::ElementsAre;
using Kind = PreTokenizerStep::Kind;

std::vector<std::string> Words(const std::vector<PreTokenizerStep>& steps,
                               absl::string_view text) {
  auto pre_tokenizer = PreTokenizer::Create(steps);
  CARACAL_CHECK(pre_tokenizer.ok()) << pre_tokenizer.status().ToString();
  RegexState state;
  std::vector<std::string> out;
  const absl::Status status = pre_tokenizer->Split(
      text, &state, [&](absl::string_view word) { out.emplace_back(word); });
  EXPECT_OK(status);
  return out;
}

TEST(PreTokenizer, Gpt2) {
  EXPECT_THAT(
      Words({{Kind::kSplit, kGpt2Pattern}}, "It's  12 a!\n\nx "),
      ElementsAre("It", "'s", " ", " 12", " a", "!", "\n", "\n", "x", " "));
}

TEST(PreTokenizer, DigitsComeFirstInSmolLm) {
  const std::vector<PreTokenizerStep> steps = {{Kind::kSplit, kDigitPattern},
                                               {Kind::kSplit, kGpt2Pattern}};
  // The space belongs to no digit: its piece ends before the digit.
  EXPECT_THAT(Words(steps, "a 12  3½"),
              ElementsAre("a", " ", "1", "2", "  ", "3", "½"));
}

TEST(PreTokenizer, GapsAreKept) {
  EXPECT_THAT(Words({{Kind::kSplit, "b+"}}, "abbcb"),
              ElementsAre("a", "bb", "c", "b"));
  EXPECT_THAT(Words({{Kind::kSplit, "z"}}, "abc"), ElementsAre("abc"));
  EXPECT_THAT(Words({}, "abc"), ElementsAre("abc"));
  EXPECT_THAT(Words({{Kind::kSplit, "b"}}, ""), ElementsAre());
}

TEST(PreTokenizer, EmptyMatchesCutButDoNotLoop) {
  EXPECT_THAT(Words({{Kind::kSplit, "(?=[A-Z])"}}, "aBcDé"),
              ElementsAre("a", "Bc", "Dé"));
  EXPECT_THAT(Words({{Kind::kSplit, "x*"}}, "éxxb"),
              ElementsAre("é", "xx", "b"));
}

TEST(PreTokenizer, PrefixSpacePerPiece) {
  EXPECT_THAT(Words({{Kind::kSplit, "\\|"}, {Kind::kPrefixSpace, ""}}, "a| b|"),
              ElementsAre(" a", " |", " b", " |"));
}

TEST(PreTokenizer, BrokenPatternsAreRefused) {
  EXPECT_THAT(PreTokenizer::Create({{Kind::kSplit, "("}}),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       ::testing::HasSubstr("pattern \"(\"")));
}

}  // namespace
}  // namespace caracal
