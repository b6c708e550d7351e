#include "core/io/tokenizer/unicode.h"

#include <gtest/gtest.h>

namespace caracal {
namespace {

TEST(Unicode, EveryCodePointSurvives) {
  for (uint32_t c = 0; c <= 0x10FFFF; ++c) {
    if (c >= 0xD800 && c <= 0xDFFF) continue;
    std::string text;
    AppendUtf8(c, &text);
    const Utf8Char decoded = DecodeUtf8Char(text);
    ASSERT_TRUE(decoded.valid) << c;
    ASSERT_EQ(decoded.code_point, c);
    ASSERT_EQ(decoded.length, text.size());
    ASSERT_EQ(ValidUtf8Prefix(text), text.size());
    ASSERT_EQ(IncompleteUtf8Suffix(text), 0);
    for (size_t n = 1; n < text.size(); ++n) {
      ASSERT_EQ(IncompleteUtf8Suffix(text.substr(0, n)), n) << c;
    }
  }
}

TEST(Unicode, InvalidPartsAreReplacedOneByOne) {
  const std::string r = "\xEF\xBF\xBD";
  EXPECT_EQ(ReplaceInvalidUtf8("a\x80z"), "a" + r + "z");
  EXPECT_EQ(ReplaceInvalidUtf8("\xFF\xFE"), r + r);
  // A truncated character is one part, ...
  EXPECT_EQ(ReplaceInvalidUtf8("\xF0\x9F\x98"), r);
  EXPECT_EQ(ReplaceInvalidUtf8("\xE2\x82"), r);
  EXPECT_EQ(ReplaceInvalidUtf8("\xE2\x82x"), r + "x");
  // ... bytes that can't begin or go on one are a part each.
  EXPECT_EQ(ReplaceInvalidUtf8("\xC0\xAF"), r + r);          // overlong
  EXPECT_EQ(ReplaceInvalidUtf8("\xE0\x80\x80"), r + r + r);  // overlong
  EXPECT_EQ(ReplaceInvalidUtf8("\xED\xA0\x80"), r + r + r);  // surrogate
  EXPECT_EQ(ReplaceInvalidUtf8("\xF4\x90\x80\x80"), r + r + r + r);
  EXPECT_EQ(ReplaceInvalidUtf8("\xC3\xA9"), "\xC3\xA9");
  EXPECT_EQ(ReplaceInvalidUtf8(""), "");
}

TEST(Unicode, ValidPrefixEndsAtTheFirstBadByte) {
  for (size_t n = 0; n < 40; ++n) {
    const std::string good(n, 'x');
    EXPECT_EQ(ValidUtf8Prefix(good + "\xFFyyyyyyyyyyyy"), n);
    EXPECT_EQ(ValidUtf8Prefix(good + "\xC3\xA9"), n + 2);
    EXPECT_EQ(ValidUtf8Prefix(good + "\xC3"), n);
  }
}

TEST(Unicode, IncompleteSuffixMustBeAbleToGoOn) {
  EXPECT_EQ(IncompleteUtf8Suffix("a\xC3"), 1);
  EXPECT_EQ(IncompleteUtf8Suffix("a\x80"), 0);
  EXPECT_EQ(IncompleteUtf8Suffix("\xED\xA0"), 0);  // only a surrogate
  EXPECT_EQ(IncompleteUtf8Suffix("\xE0\x80"), 0);  // only overlong
  EXPECT_EQ(IncompleteUtf8Suffix("\xF5"), 0);
  EXPECT_EQ(IncompleteUtf8Suffix(""), 0);
}

TEST(Unicode, WhiteSpaceIsTheProperty) {
  int count = 0;
  for (uint32_t c = 0; c <= 0x10FFFF; ++c) count += IsWhiteSpace(c);
  EXPECT_EQ(count, 25);
  EXPECT_FALSE(IsWhiteSpace(0x180E));
  EXPECT_FALSE(IsWhiteSpace(0x200B));
}

}  // namespace
}  // namespace caracal
