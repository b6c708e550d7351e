#include "core/io/tokenizer/added_tokens.h"

#include <string>
#include <vector>

#include "core/base/status_matchers.h"

namespace caracal {
namespace {

using ::testing::ElementsAre;

// Parts as "text" or "id:text".
std::vector<std::string> Parts(const std::vector<AddedToken>& tokens,
                               absl::string_view text,
                               bool parse_special = true) {
  std::vector<std::string> out;
  const absl::Status status = AddedTokenFinder(tokens).Split(
      text, parse_special, [&](const AddedTokenFinder::Part& part) {
        out.push_back(part.id < 0 ? std::string(part.text)
                                  : absl::StrCat(part.id, ":", part.text));
        return absl::OkStatus();
      });
  EXPECT_OK(status);
  return out;
}

AddedToken Plain(int32_t id, const std::string& content) {
  return {.id = id, .content = content};
}

TEST(AddedTokens, LeftmostLongest) {
  const std::vector<AddedToken> tokens = {Plain(0, "ab"), Plain(1, "abcd"),
                                          Plain(2, "bcde")};
  EXPECT_THAT(Parts(tokens, "abcde"), ElementsAre("1:abcd", "e"));
  EXPECT_THAT(Parts(tokens, "abc"), ElementsAre("0:ab", "c"));
  EXPECT_THAT(Parts(tokens, "xbcdex"), ElementsAre("x", "2:bcde", "x"));
  EXPECT_THAT(Parts(tokens, ""), ElementsAre());
  EXPECT_THAT(Parts({}, "abc"), ElementsAre("abc"));
  EXPECT_THAT(Parts({Plain(0, "")}, "abc"), ElementsAre("abc"));
}

TEST(AddedTokens, StripsWhiteSpace) {
  AddedToken left = Plain(0, "<l>");
  left.lstrip = true;
  AddedToken right = Plain(1, "<r>");
  right.rstrip = true;
  EXPECT_THAT(Parts({left, right}, "a \u3000<l> b"),
              ElementsAre("a", "0: \u3000<l>", " b"));
  EXPECT_THAT(Parts({left, right}, "a <r> \nb"),
              ElementsAre("a ", "1:<r> \n", "b"));
  // The space between is taken once.
  EXPECT_THAT(Parts({left, right}, "<r> <l>"), ElementsAre("1:<r> ", "0:<l>"));
}

TEST(AddedTokens, SingleWords) {
  AddedToken word = Plain(0, "cat");
  word.single_word = true;
  EXPECT_THAT(Parts({word}, "cat"), ElementsAre("0:cat"));
  EXPECT_THAT(Parts({word}, "a cat."), ElementsAre("a ", "0:cat", "."));
  for (const char* text : {"cats", "écat", "cat_", "cat\u0301", "٣cat"}) {
    EXPECT_THAT(Parts({word}, text), ElementsAre(text));
  }
}

TEST(AddedTokens, SpecialOnesOnRequest) {
  AddedToken special = Plain(0, "<s>");
  special.special = true;
  const std::vector<AddedToken> tokens = {special, Plain(1, "s")};
  EXPECT_THAT(Parts(tokens, "s<s>s"), ElementsAre("1:s", "0:<s>", "1:s"));
  // What is inside of the refused token stays text.
  EXPECT_THAT(Parts(tokens, "s<s>s", /*parse_special=*/false),
              ElementsAre("1:s", "<s>", "1:s"));
}

}  // namespace
}  // namespace caracal
