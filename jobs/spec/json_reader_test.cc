#include "jobs/spec/json_reader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "absl/strings/str_cat.h"

namespace caracal {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::StartsWith;

TEST(JsonReaderTest, ReadsEveryKind) {
  const ParsedText parsed = ReadJson(R"({
  "name": "a\u00e9",
  "count": -3,
  "rate": 1e-2
  ,
  "big": 18446744073709551615,
  "on": true,
  "nothing": null,
  "block": {"x": 1},
  "list": [1,
           "two",
           {"x": [3]}]
})");
  ASSERT_THAT(parsed.faults, IsEmpty());
  const Value& root = parsed.root;
  ASSERT_EQ(root.members.size(), 8u);
  const auto& m = root.members;
  EXPECT_EQ(m[0].value.text, "a\xC3\xA9");
  EXPECT_EQ(m[0].value.kind, Value::Kind::kString);
  EXPECT_EQ(m[1].value.text, "-3");
  EXPECT_EQ(m[2].value.text, "1e-2");
  EXPECT_EQ(m[2].value.line, 4);  // though the line end follows the number
  EXPECT_EQ(m[3].value.text, "18446744073709551615");
  EXPECT_EQ(m[3].line, 6);
  EXPECT_EQ(m[4].value.text, "true");
  EXPECT_EQ(m[3].column, 3);
  EXPECT_EQ(m[3].value.column, 10);  // though the comma follows the number
  EXPECT_EQ(m[5].value.kind, Value::Kind::kNull);
  EXPECT_EQ(m[6].value.members[0].value.text, "1");
  ASSERT_EQ(m[7].value.items.size(), 3u);
  EXPECT_EQ(m[7].value.items[1].line, 11);
  EXPECT_EQ(m[7].value.items[1].column, 12);
  EXPECT_EQ(m[7].value.column, 11);
  EXPECT_EQ(m[7].value.items[2].members[0].value.items[0].text, "3");
}

TEST(JsonReaderTest, TellsWhereTheFaultIs) {
  const struct {
    const char* text;
    const char* fault;
  } kCases[] = {
      {"{\n\"a\": 1,\n}", "3:1: syntax error"},
      {"{\n\"a\":\n[1,}", "3:4: syntax error"},
      {"{\n\n\"a\"", "3:1: syntax error"},
      {"{\n\t\"a\" 1}", "2:13: syntax error"},
      {"{} x", "1:4: syntax error"},
      {"[1]", "1:1: expected a JSON object"},
      {"{\"a\": 1e999}", "1:7: number overflow"},
      {"", "1:1: syntax error"},
  };
  for (const auto& c : kCases) {
    const ParsedText parsed = ReadJson(c.text);
    ASSERT_EQ(parsed.faults.size(), 1) << c.text;
    const SyntaxFault& fault = parsed.faults[0];
    EXPECT_THAT(
        absl::StrCat(fault.line, ":", fault.column, ": ", fault.message),
        StartsWith(c.fault))
        << c.text;
  }
}

TEST(JsonReaderTest, KeepsWhatStandsBeforeTheFault) {
  const ParsedText parsed = ReadJson(R"({"a": {"b": 1}, "c": [2, "d" 3]})");
  EXPECT_EQ(parsed.faults.size(), 1);
  ASSERT_EQ(parsed.root.members.size(), 2);
  EXPECT_EQ(parsed.root.members[0].value.members[0].value.text, "1");
  EXPECT_EQ(parsed.root.members[1].value.items.size(), 2);
}

// Where a brace is missing, what follows was taken for a part of its block.
TEST(JsonReaderTest, OfATextThatEndsTooEarlyTheOpenBlocksAreUnclosed) {
  const ParsedText parsed =
      ReadJson("{\n \"a\": {\"b\": 1, \"c\": {}, \"d\": {");
  ASSERT_EQ(parsed.faults.size(), 1);
  EXPECT_THAT(parsed.faults[0].message,
              HasSubstr("for the block of line 2, column 30"));
  EXPECT_TRUE(parsed.root.unclosed);
  ASSERT_EQ(parsed.root.members.size(), 1);
  const Value& a = parsed.root.members[0].value;
  EXPECT_TRUE(a.unclosed);
  ASSERT_EQ(a.members.size(), 3);
  EXPECT_FALSE(a.members[1].value.unclosed);
  EXPECT_TRUE(a.members[2].value.unclosed);
}

TEST(JsonReaderTest, RefusesDeepText) {
  const ParsedText parsed = ReadJson("{\"a\":" + std::string(100000, '['));
  ASSERT_EQ(parsed.faults.size(), 1);
  EXPECT_THAT(parsed.faults[0].message, HasSubstr("nested more than"));
}

}  // namespace
}  // namespace caracal
