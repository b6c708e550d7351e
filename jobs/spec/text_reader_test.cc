#include "jobs/spec/text_reader.h"

#include <gtest/gtest.h>

#include "core/base/status_matchers.h"

namespace caracal {
namespace {

using ::testing::HasSubstr;

TEST(TextReaderTest, ReadsEveryForm) {
  ASSERT_OK_AND_ASSIGN(const Value root, ReadTextFormat(R"(# a comment
name: "a" 'b\n'  # one string
count: -3, rate: 1e-2;
block { on: true }
colon: { x: 1 }
angles < x: 1 >
list: [ 1, "two", { x: 3 } ]
blocks [ { x: 1 }, { x: 2 } ]
empty: [])"));
  ASSERT_EQ(root.members.size(), 9u);
  const auto& m = root.members;
  EXPECT_EQ(m[0].value.kind, Value::Kind::kString);
  EXPECT_EQ(m[0].value.text, "ab\n");
  EXPECT_EQ(m[0].line, 2);
  EXPECT_EQ(m[1].value.kind, Value::Kind::kWord);
  EXPECT_EQ(m[1].value.text, "-3");
  EXPECT_EQ(m[2].value.text, "1e-2");
  EXPECT_EQ(m[2].line, 3);
  ASSERT_EQ(m[3].value.kind, Value::Kind::kBlock);
  EXPECT_EQ(m[3].value.members[0].name, "on");
  EXPECT_EQ(m[4].value.members[0].value.text, "1");
  EXPECT_EQ(m[5].value.members[0].value.text, "1");
  ASSERT_EQ(m[6].value.items.size(), 3u);
  EXPECT_EQ(m[6].value.items[1].kind, Value::Kind::kString);
  EXPECT_EQ(m[7].value.items[1].members[0].value.text, "2");
  EXPECT_EQ(m[7].line, 8);
  EXPECT_TRUE(m[8].value.items.empty());
}

TEST(TextReaderTest, EmptyTextIsAnEmptyBlock) {
  ASSERT_OK_AND_ASSIGN(const Value root, ReadTextFormat("  # nothing\n"));
  EXPECT_TRUE(root.members.empty());
}

TEST(TextReaderTest, NamesTheLineOfAnError) {
  const struct {
    const char* text;
    const char* message;
  } kCases[] = {
      {"a: 1\nb 2", "line 2: expected ':' or '{' after b, found '2'"},
      {"a {\n b: 1\n", "expected '}' for the block of line 1, found the end"},
      {"a: }", "line 1: expected a value, found '}'"},
      {"a: [1 2]", "expected ',' or ']', found '2'"},
      {"\na: \"x", "line 2:"},
      {"}", "expected a field name, found '}'"},
      {"[ext]: 1", "expected a field name, found '['"},
      {"a: -", "expected a value, found the end of the file"},
      {"a: \x01", "line 1:"},
  };
  for (const auto& c : kCases) {
    EXPECT_THAT(
        ReadTextFormat(c.text),
        StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(c.message)))
        << c.text;
  }
}

TEST(TextReaderTest, RefusesBinaryAndDeepText) {
  EXPECT_THAT(ReadTextFormat(absl::string_view("a: 1\0b", 6)),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("byte 4 is zero")));
  std::string deep, list = "a: ";
  for (int i = 0; i < 100000; ++i) {
    deep += "a {";
    list += "[";
  }
  for (const std::string& text : {deep, list}) {
    EXPECT_THAT(ReadTextFormat(text),
                StatusIs(absl::StatusCode::kInvalidArgument,
                         HasSubstr("nested more than")));
  }
}

}  // namespace
}  // namespace caracal
