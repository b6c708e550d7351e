// Hostile and awkward texts.
#include "eval/report/text.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "core/base/utf8.h"

namespace caracal {
namespace {

using ::testing::ElementsAre;

constexpr char kBad[] = "\xEF\xBF\xBD";

TEST(PrintableTest, KeepsGoodTextAsItIs) {
  const std::string text = "caf\u00e9 \u65e5\u672c \U0001F600\n\ttab";
  EXPECT_EQ(Printable(text), text);
}

TEST(PrintableTest, ReplacesWhatIsNotUtf8) {
  EXPECT_EQ(Printable("a\xFFz"), std::string("a") + kBad + "z");
  // A character cut off at the end, an overlong slash, a surrogate, a code
  // point beyond Unicode.
  EXPECT_EQ(Printable("a\xE6\x97"), std::string("a") + kBad + kBad);
  EXPECT_EQ(Printable("\xC0\xAF"), std::string(kBad) + kBad);
  EXPECT_EQ(Printable("\xE0\x80\xAF"), std::string(kBad) + kBad + kBad);
  EXPECT_EQ(Printable("\xED\xA0\x80"), std::string(kBad) + kBad + kBad);
  EXPECT_EQ(Printable("\xF4\x90\x80\x80"),
            std::string(kBad) + kBad + kBad + kBad);
  EXPECT_EQ(Printable("\xF0\x80\x80\x80"),
            std::string(kBad) + kBad + kBad + kBad);
}

TEST(PrintableTest, ReplacesControlsAndNoncharacters) {
  EXPECT_EQ(Printable("\x1b[31m"), std::string(kBad) + "[31m");
  EXPECT_EQ(Printable(absl::string_view("a\0b", 3)),
            std::string("a") + kBad + "b");
  EXPECT_EQ(Printable("\x7f"), kBad);
  EXPECT_EQ(Printable("\xC2\x9B"), kBad);  // the one-byte escape sequence
  EXPECT_EQ(Printable("\xEF\xBF\xBF"), kBad);
  EXPECT_EQ(Printable("a\r\nb\rc"), std::string("a\nb") + kBad + "c");
}

TEST(PrintablePiecesTest, AreTheWholeTextHoweverItIsCut) {
  const std::string text =
      "caf\u00e9\r\n\u65e5\U0001F600\x1b[31m\xC2\x9B\xFF\xE6\x97z\r\xF0\x9F";
  for (size_t first = 0; first <= text.size(); ++first) {
    for (size_t second = first; second <= text.size(); ++second) {
      PrintablePieces pieces;
      std::string shown = pieces.Add(text.substr(0, first));
      shown += pieces.Add(text.substr(first, second - first));
      shown += pieces.Add(text.substr(second));
      EXPECT_EQ(shown + pieces.Finish(), Printable(text))
          << first << " " << second;
    }
  }
  // What is whole is not held back.
  PrintablePieces pieces;
  EXPECT_EQ(pieces.Add("a\u00e9"), "a\u00e9");
  EXPECT_EQ(pieces.Add("b\xC3"), "b");
  EXPECT_EQ(pieces.Add("\xA9"), "\u00e9");
  EXPECT_EQ(pieces.Finish(), "");
}

TEST(EscapeHtmlTest, EscapesEveryMetacharacter) {
  EXPECT_EQ(EscapeHtml("<a href=\"x\" b='y'>&"),
            "&lt;a href=&quot;x&quot; b=&#39;y&#39;&gt;&amp;");
  EXPECT_EQ(EscapeHtml("\xFF<"), std::string(kBad) + "&lt;");
}

TEST(TypographicMinusTest, OnlyBeforeNumbers) {
  EXPECT_EQ(TypographicMinus("-0.5 [-1, -2] (-3)"),
            "\u22120.5 [\u22121, \u22122] (\u22123)");
  EXPECT_EQ(TypographicMinus("gpt-2 2026-01-15 fine-tuned - x"),
            "gpt-2 2026-01-15 fine-tuned - x");
}

TEST(WrapTextTest, BreaksAtSpacesAndKeepsNewLines) {
  EXPECT_THAT(WrapText("the quick brown fox", 10),
              ElementsAre("the quick", "brown fox"));
  EXPECT_THAT(WrapText("a\n\nb", 10), ElementsAre("a", "", "b"));
  EXPECT_THAT(WrapText("", 10), ElementsAre(""));
  EXPECT_THAT(WrapText("  indented", 20), ElementsAre("  indented"));
}

TEST(WrapTextTest, CutsLongWordsBetweenCharacters) {
  EXPECT_THAT(WrapText("abcdefgh", 3), ElementsAre("abc", "def", "gh"));
  EXPECT_THAT(WrapText("\u00e9\u00e9\u00e9", 2),
              ElementsAre("\u00e9\u00e9", "\u00e9"));
}

TEST(WrapTextTest, WideCharactersTakeTwoColumns) {
  EXPECT_THAT(WrapText("\u65e5\u672c\u8a9e", 4),
              ElementsAre("\u65e5\u672c", "\u8a9e"));
}

TEST(WrapTextTest, NoLineIsTooWide) {
  for (size_t width = 1; width < 12; ++width) {
    for (const std::string& line :
         WrapText("some words, \u00fcber-lengthy ones too  x", width)) {
      EXPECT_LE(TerminalColumns(line), static_cast<int>(width));
    }
  }
}

TEST(CommonPrefixTest, EndsBetweenCharacters) {
  EXPECT_EQ(CommonPrefix("abcd", "abxy"), 2);
  EXPECT_EQ(CommonPrefix("same", "same"), 4);
  EXPECT_EQ(CommonPrefix("same", "same and more"), 4);
  // Both begin with the byte 0xC3.
  EXPECT_EQ(CommonPrefix("a\u00e9", "a\u00e8"), 1);
  EXPECT_EQ(CommonPrefix("", "x"), 0);
}

}  // namespace
}  // namespace caracal
