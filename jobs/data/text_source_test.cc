#include "jobs/data/text_source.h"

#include <string>

#include "core/base/status_matchers.h"
#include "jobs/data/test_support.h"

namespace caracal {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

// All text of `bytes`, which come `step` at a time.
absl::StatusOr<std::string> TextOf(absl::string_view bytes, size_t step,
                                   int64_t* replaced = nullptr) {
  StringSource raw(bytes, step);
  TextSource source("a.txt", &raw);
  std::string text;
  char block[7];
  while (true) {
    ASSIGN_OR_RETURN(const size_t n, source.Read(block, sizeof(block)));
    if (n == 0) break;
    text.append(block, n);
  }
  if (replaced != nullptr) *replaced = source.replaced();
  return text;
}

TEST(TextSource, TextPassesInAnyBlocks) {
  std::string text;
  for (int i = 0; i < 200; ++i) text += "aé😀中\r\n";
  for (const size_t step : {1, 2, 3, 5, 100000}) {
    int64_t replaced = -1;
    ASSERT_OK_AND_ASSIGN(const std::string read, TextOf(text, step, &replaced));
    EXPECT_EQ(read, text);
    EXPECT_EQ(replaced, 0);
  }
  EXPECT_EQ(*TextOf("", 3), "");
}

TEST(TextSource, OnlyTheFirstByteOrderMarkIsLeftOut) {
  for (const size_t step : {1, 2, 100}) {
    EXPECT_EQ(*TextOf("\xEF\xBB\xBF"
                      "a\xEF\xBB\xBF",
                      step),
              "a\xEF\xBB\xBF");
    EXPECT_EQ(*TextOf("\xEF\xBB\xBF", step), "");
  }
}

TEST(TextSource, ZeroBytesAreBinary) {
  for (const size_t step : {1, 4, 100}) {
    EXPECT_THAT(TextOf(absl::string_view("a\nb\nc\0d", 7), step),
                StatusIs(absl::StatusCode::kInvalidArgument,
                         HasSubstr("a.txt: line 3: a zero byte at byte offset "
                                   "5; this is binary data")));
  }
}

TEST(TextSource, Utf16IsNamed) {
  EXPECT_THAT(
      TextOf(absl::string_view("\xFF\xFE"
                               "a\0b\0",
                               6),
             1),
      StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("UTF-16")));
}

TEST(TextSource, FewBadSequencesBecomeReplacementCharacters) {
  const std::string filler(400, 'x');
  // A lone byte; a character cut short, which is one sequence; a surrogate,
  // which is three; a cut at the end of the file.
  const std::string bytes = filler + "caf\xE9 \xF0\x9F\x98|" + filler +
                            "\xED\xA0\x80" + filler + "\xE4\xB8";
  const std::string fffd = "\xEF\xBF\xBD";
  for (const size_t step : {1, 2, 3, 5, 100000}) {
    int64_t replaced = 0;
    ASSERT_OK_AND_ASSIGN(const std::string text,
                         TextOf(bytes, step, &replaced));
    EXPECT_EQ(text, filler + "caf" + fffd + " " + fffd + "|" + filler + fffd +
                        fffd + fffd + filler + fffd);
    EXPECT_EQ(replaced, 6);
  }
  // One in a thousand is fine for ever.
  std::string mostly_good;
  for (int i = 0; i < 100; ++i) mostly_good += std::string(1000, 'x') + "\xFF";
  int64_t replaced = 0;
  ASSERT_OK(TextOf(mostly_good, 777, &replaced));
  EXPECT_EQ(replaced, 100);
  // In a tiny file one is.
  EXPECT_EQ(*TextOf("x\xFFy", 1), "x\xEF\xBF\xBDy");
}

TEST(TextSource, ManyBadSequencesAreRefusedWithTheirPlace) {
  std::string latin1;
  for (int i = 0; i < 17; ++i) latin1 += "caf\xE9\n";
  for (const size_t step : {1, 3, 1000}) {
    EXPECT_THAT(TextOf(latin1 + std::string(100000, 'x'), step),
                StatusIs(absl::StatusCode::kInvalidArgument,
                         AllOf(HasSubstr("a.txt: line 17: the byte 0xE9 at "
                                         "byte offset 83 is not UTF-8"),
                               HasSubstr("17 such places"))));
    // A short file may have a large share of bad ones before that.
    EXPECT_THAT(TextOf("a\ncaf\xE9 caf\xE9\n", step),
                StatusIs(absl::StatusCode::kInvalidArgument,
                         AllOf(HasSubstr("a.txt: line 2: the byte 0xE9 at "
                                         "byte offset 5 is not UTF-8"),
                               HasSubstr("2 such places in the first 12"))));
  }
}

TEST(TextSource, PeekTakesNothing) {
  StringSource raw("\xEF\xBB\xBFone two", 2);
  TextSource source("a.txt", &raw);
  ASSERT_OK_AND_ASSIGN(const absl::string_view peeked, source.Peek());
  EXPECT_EQ(peeked, "one two");
  char block[16];
  ASSERT_OK_AND_ASSIGN(const size_t n, source.Read(block, sizeof(block)));
  EXPECT_EQ(std::string(block, n), "one two");
}

}  // namespace
}  // namespace caracal
