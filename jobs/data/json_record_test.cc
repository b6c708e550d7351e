#include "jobs/data/json_record.h"

#include <gtest/gtest.h>

#include "core/base/status_matchers.h"

namespace caracal {
namespace {

TEST(JsonRecord, SurrogatesThatStandAloneAreReplacedAndCounted) {
  const struct {
    const char* line;
    const char* text;
    int64_t alone;
  } kCases[] = {
      {R"({"text": "a\ud800b"})", "a\uFFFDb", 1},
      {R"({"text": "\udc00\ud83d"})", "\uFFFD\uFFFD", 2},
      {R"({"text": "\ud83d\ude00"})", "\U0001F600", 0},
      {R"({"text": "\ud83d\ude00\ud83dx"})", "\U0001F600\uFFFDx", 1},
      // A backslash of its own, and letters behind it; and one alone.
      {R"({"text": "\\ud800 \uD800"})", "\\ud800 \uFFFD", 1},
      {R"({"text": "\u00e4"})", "\u00e4", 0},
  };
  for (const auto& c : kCases) {
    ASSERT_OK_AND_ASSIGN(const JsonRecord record, ParseJsonRecord(c.line));
    EXPECT_EQ(record.text.text, c.text) << c.line;
    EXPECT_EQ(record.lone_surrogates, c.alone) << c.line;
  }
}

TEST(JsonRecord, OtherDamageIsNotMended) {
  EXPECT_FALSE(ParseJsonRecord(R"({"text": "\ud800)").ok());
  EXPECT_FALSE(ParseJsonRecord(R"({"text": "\ud8"})").ok());
}

}  // namespace
}  // namespace caracal
