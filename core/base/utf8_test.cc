#include "core/base/utf8.h"

#include <gtest/gtest.h>

namespace caracal {
namespace {

TEST(Utf8Test, DecodesEachLength) {
  const struct {
    const char* text;
    char32_t code_point;
    size_t bytes;
  } kCases[] = {{"a", U'a', 1},
                {"\xC3\xA9", 0xE9, 2},
                {"\xE2\x82\xAC!", 0x20AC, 3},
                {"\xF0\x9F\x98\x80", 0x1F600, 4}};
  for (const auto& c : kCases) {
    char32_t code_point;
    size_t bytes;
    EXPECT_TRUE(DecodeUtf8(c.text, &code_point, &bytes)) << c.text;
    EXPECT_EQ(code_point, c.code_point);
    EXPECT_EQ(bytes, c.bytes);
  }
}

TEST(Utf8Test, RefusesInvalidSequences) {
  for (const char* text : {"\x80", "\xC0\x80", "\xC1\xBF", "\xC3", "\xC3(",
                           "\xE0\x80\x80", "\xED\xA0\x80", "\xE2\x82",
                           "\xF0\x80\x80\x80", "\xF4\x90\x80\x80", "\xFF"}) {
    char32_t code_point;
    size_t bytes;
    EXPECT_FALSE(DecodeUtf8(text, &code_point, &bytes));
    EXPECT_EQ(code_point, 0xFFFDu);
    EXPECT_EQ(bytes, 1u);
    EXPECT_FALSE(IsValidUtf8(text));
  }
  EXPECT_TRUE(IsValidUtf8(""));
  EXPECT_TRUE(IsValidUtf8("na\xC3\xAFve \xE2\x82\xAC"));
}

TEST(Utf8Test, MakesTextValid) {
  EXPECT_EQ(AsValidUtf8("a\u00e4\U0001F600"), "a\u00e4\U0001F600");
  EXPECT_EQ(AsValidUtf8("a\xff\xc3(\xe2\x82"), "a\uFFFD\uFFFD(\uFFFD\uFFFD");
  EXPECT_EQ(AsValidUtf8(""), "");
}

TEST(Utf8Test, CountsColumns) {
  EXPECT_EQ(TerminalColumns("abc"), 3);
  EXPECT_EQ(TerminalColumns("na\xC3\xAFve"), 5);
  EXPECT_EQ(TerminalColumns("e\xCC\x81"), 1);                 // combining acute
  EXPECT_EQ(TerminalColumns("\xE6\x97\xA5\xE6\x9C\xAC"), 4);  // two ideographs
  EXPECT_EQ(TerminalColumns("\xF0\x9F\x98\x80"), 2);
  EXPECT_EQ(TerminalColumns("\x1b[0m"), 3);  // escapes are the caller's part
}

}  // namespace
}  // namespace caracal
