#include "core/io/tokenizer/regex.h"

#include <string>
#include <vector>

#include "core/base/status_matchers.h"
#include "core/io/tokenizer/tokenizer_spec.h"

namespace caracal {
namespace {

using ::testing::HasSubstr;

// All matches of `pattern` in `text`.
std::vector<std::string> Matches(absl::string_view pattern,
                                 absl::string_view text) {
  auto regex = Regex::Compile(pattern);
  CARACAL_CHECK(regex.ok()) << regex.status().ToString();
  RegexState state;
  std::vector<std::string> out;
  size_t from = 0;
  while (from < text.size()) {
    const auto match = (*regex)->Find(text, from, &state);
    CARACAL_CHECK(match.ok()) << match.status().ToString();
    if (!match->found) break;
    out.emplace_back(text.substr(match->begin, match->end - match->begin));
    from = match->end > from ? match->end : from + 1;
  }
  return out;
}

using ::testing::ElementsAre;

TEST(Regex, ClassesAreUnicode) {
  EXPECT_THAT(Matches("\\p{L}+", "aé 中b٣"), ElementsAre("aé", "中b"));
  EXPECT_THAT(Matches("\\d", "1٣½"), ElementsAre("1", "٣"));
  EXPECT_THAT(Matches("\\w+", "a_é1 Ⓐ!\u0301"),
              ElementsAre("a_é1", "Ⓐ", "\u0301"));
}

TEST(Regex, SpaceIsThePropertyNotPcres) {
  EXPECT_THAT(Matches("\\s", "\u180e \u0085\u200b"),
              ElementsAre(" ", "\u0085"));
  EXPECT_THAT(Matches("[^\\s]+", "a\u180eb c"), ElementsAre("a\u180eb", "c"));
  EXPECT_THAT(Matches("[\\S]+", "a b"), ElementsAre("a", "b"));
}

TEST(Regex, TranslatesTheDialect) {
  EXPECT_THAT(Matches("a{,2}b", "aab"), ElementsAre("aab"));
  EXPECT_THAT(Matches("^.", "ab\ncd"), ElementsAre("a", "c"));
  EXPECT_THAT(Matches("[]a]+", "]a"), ElementsAre("]a"));
  EXPECT_THAT(Matches("[[:alpha:]]+", "ab1"), ElementsAre("ab"));
  for (const char* pattern :
       {"\\h", "[a\\h]", "[a[b]]", "[a&&b]", "[\\W]", "(", "[a", "\\C"}) {
    EXPECT_THAT(
        Regex::Compile(pattern),
        StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(pattern)));
  }
}

TEST(Regex, RefusesHugePatterns) {
  EXPECT_THAT(
      Regex::Compile(std::string(70000, 'a')),
      StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("70000 bytes")));
}

TEST(Regex, EscapedTextMatchesItself) {
  const std::string text = "a.b*c[d]{2}(x)|^$\\+?-#&";
  EXPECT_THAT(Matches(EscapeRegex(text), text), ElementsAre(text));
}

TEST(Regex, CatastrophicPatternsAreAnError) {
  ASSERT_OK_AND_ASSIGN(const auto regex, Regex::Compile("(a|aa|a)+[^a]"));
  RegexState state;
  const std::string text(5000, 'a');
  EXPECT_THAT(regex->Find(text, 0, &state),
              StatusIs(absl::StatusCode::kResourceExhausted,
                       HasSubstr("at byte 0 of 5000")));
}

TEST(Regex, KnownPatternsTakeLongRuns) {
  // Each alternative that can back-track over a long run, on one.
  for (const char* pattern :
       {kGpt2Pattern,
        "[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"}) {
    ASSERT_OK_AND_ASSIGN(const auto regex, Regex::Compile(pattern));
    RegexState state;
    for (const char* unit : {" ", "\u3000", "a", "é", "!", "\n"}) {
      std::string text;
      while (text.size() < 3000000) text += unit;
      text += "x";
      SCOPED_TRACE(unit);
      EXPECT_OK(regex->Find(text, 0, &state));
    }
  }
}

TEST(Regex, FindsFromTheStartGiven) {
  ASSERT_OK_AND_ASSIGN(const auto regex, Regex::Compile("(?<=a)b"));
  RegexState state;
  ASSERT_OK_AND_ASSIGN(const auto match, regex->Find("ab", 1, &state));
  EXPECT_TRUE(match.found);
  EXPECT_EQ(match.begin, 1);
  ASSERT_OK_AND_ASSIGN(const auto none, regex->Find("", 0, &state));
  EXPECT_FALSE(none.found);
}

}  // namespace
}  // namespace caracal
