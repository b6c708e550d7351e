#include "jobs/spec/json_reader.h"

#include <gtest/gtest.h>

#include "core/base/status_matchers.h"

namespace caracal {
namespace {

using ::testing::HasSubstr;

TEST(JsonReaderTest, ReadsEveryKind) {
  ASSERT_OK_AND_ASSIGN(const Value root, ReadJson(R"({
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
})"));
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
  EXPECT_EQ(m[5].value.kind, Value::Kind::kNull);
  EXPECT_EQ(m[6].value.members[0].value.text, "1");
  ASSERT_EQ(m[7].value.items.size(), 3u);
  EXPECT_EQ(m[7].value.items[1].line, 11);
  EXPECT_EQ(m[7].value.items[2].members[0].value.items[0].text, "3");
}

TEST(JsonReaderTest, NamesTheLineOfAnError) {
  for (const char* text : {"{\n\"a\": 1,\n}", "{\n\"a\":\n[1,}", "{\n\n\"a"}) {
    EXPECT_THAT(ReadJson(text), StatusIs(absl::StatusCode::kInvalidArgument,
                                         HasSubstr("line 3: syntax error")))
        << text;
  }
  EXPECT_THAT(ReadJson("{} x"), StatusIs(absl::StatusCode::kInvalidArgument,
                                         HasSubstr("line 1: syntax error")));
  EXPECT_THAT(ReadJson("[1]"), StatusIs(absl::StatusCode::kInvalidArgument,
                                        HasSubstr("expected a JSON object")));
  EXPECT_THAT(ReadJson("{\"a\": 1e999}"),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("line 1: number overflow")));
  EXPECT_THAT(ReadJson(""), StatusIs(absl::StatusCode::kInvalidArgument,
                                     HasSubstr("line 1")));
}

TEST(JsonReaderTest, RefusesDeepText) {
  EXPECT_THAT(ReadJson("{\"a\":" + std::string(100000, '[')),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("nested more than")));
}

}  // namespace
}  // namespace caracal
