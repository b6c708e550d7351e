#include "jobs/spec/text_reader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <functional>
#include <random>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace caracal {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::StartsWith;

TEST(TextReaderTest, ReadsEveryForm) {
  const ParsedText parsed = ReadTextFormat(R"(# a comment
name: "a" 'b\n'  # one string
count: -3, rate: 1e-2;
block { on: true }
colon: { x: 1 }
angles < x: 1 >
list: [ 1, "two", { x: 3 } ]
blocks [ { x: 1 }, { x: 2 } ]
empty: [])");
  ASSERT_THAT(parsed.faults, IsEmpty());
  const Value& root = parsed.root;
  ASSERT_EQ(root.members.size(), 9u);
  const auto& m = root.members;
  EXPECT_EQ(m[0].value.kind, Value::Kind::kString);
  EXPECT_EQ(m[0].value.text, "ab\n");
  EXPECT_EQ(m[0].line, 2);
  EXPECT_EQ(m[1].value.kind, Value::Kind::kWord);
  EXPECT_EQ(m[1].value.text, "-3");
  EXPECT_EQ(m[2].value.text, "1e-2");
  EXPECT_EQ(m[2].line, 3);
  EXPECT_EQ(m[2].column, 12);
  EXPECT_EQ(m[2].value.column, 18);
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
  const ParsedText parsed = ReadTextFormat("  # nothing\n");
  EXPECT_THAT(parsed.faults, IsEmpty());
  EXPECT_TRUE(parsed.root.members.empty());
}

// "2:3: expected ...", of every fault.
std::vector<std::string> FaultsOf(absl::string_view text) {
  std::vector<std::string> faults;
  for (const SyntaxFault& fault : ReadTextFormat(text).faults) {
    faults.push_back(
        absl::StrCat(fault.line, ":", fault.column, ": ", fault.message));
  }
  return faults;
}

TEST(TextReaderTest, TellsWhereAFaultIs) {
  const struct {
    const char* text;
    const char* fault;
  } kCases[] = {
      {"a: 1\nb 2", "2:3: expected ':' or '{' after b, found '2'"},
      {"a {\n b: 1\n",
       "1:3: the block that begins here has no end: expected '}' before the "
       "end of the file"},
      {"a: }", "1:4: expected a value, found '}'"},
      {"a: [1 2]", "1:7: expected ',' or ']', found '2'"},
      {"a: [1, 2",
       "1:4: the list that begins here has no end: expected ']' before the "
       "end of the file"},
      {"a: [\nb: 2",
       "2:1: expected a value or ']' of the list of line 1, column 4, found "
       "'b'"},
      {"a { b: [1 }\nc: 2",
       "1:11: expected a value or ']' of the list of line 1, column 8, found "
       "'}'"},
      // An item that lacks its braces.
      {"a: [b { c: 1 }, d { c: 2 }]\ne: 3",
       "1:5: expected a value or ']' of the list of line 1, column 4, found "
       "'b'"},
      {"}", "1:1: expected a field name, found '}'"},
      {"a { b: 1 }\n} c: 2", "2:1: expected a field name, found '}'"},
      {"a < b: 1 }\nc: 2",
       "1:10: expected '>' for the block of line 1, column 3, found '}'"},
      {"[ext]: 1", "1:1: expected a field name, found '['"},
      {"a: -", "1:5: expected a value, found the end of the file"},
      {"\tb 2", "1:11: expected ':' or '{' after b, found '2'"},
  };
  for (const auto& c : kCases) {
    EXPECT_THAT(FaultsOf(c.text), ElementsAre(c.fault)) << c.text;
  }
  EXPECT_THAT(FaultsOf("\na: \"x"), ElementsAre(StartsWith("2:")));
  EXPECT_THAT(FaultsOf("a: \x01"), ElementsAre(StartsWith("1:4:")));
}

TEST(TextReaderTest, GoesOnAfterAFault) {
  const char* const text = R"(a 1
b: "no end
c: 3
block {
  d: [1 2,
      word
  ]
  e 5 f: 6
  g: }
h: = i: 9
j: 10)";
  EXPECT_THAT(
      FaultsOf(text),
      ElementsAre("1:3: expected ':' or '{' after a, found '1'",
                  StartsWith("2:"), "5:9: expected ',' or ']', found '2'",
                  "8:5: expected ':' or '{' after e, found '5'",
                  "9:6: expected a value, found '}'",
                  "10:4: expected a value, found '='"));
  std::vector<std::string> read;
  const std::function<void(const Value&)> collect = [&](const Value& block) {
    for (const Member& member : block.members) {
      const bool unread = member.value.kind == Value::Kind::kUnread;
      read.push_back(member.name + (unread ? "?" : ""));
      collect(member.value);
    }
  };
  collect(ReadTextFormat(text).root);
  EXPECT_THAT(read, ElementsAre("a?", "b", "c", "block", "d?", "e?", "f", "g?",
                                "h?", "i", "j"));
}

// What follows may belong to it or not.
TEST(TextReaderTest, ABlockWithoutAnEndHasWhatFollows) {
  const ParsedText parsed = ReadTextFormat("a: 1\nb {\n c { d: 1 }\ne: 2\n");
  EXPECT_EQ(parsed.faults.size(), 1);
  ASSERT_EQ(parsed.root.members.size(), 2);
  const Value& b = parsed.root.members[1].value;
  EXPECT_TRUE(b.unclosed);
  ASSERT_EQ(b.members.size(), 2);
  EXPECT_FALSE(b.members[0].value.unclosed);
  EXPECT_EQ(b.members[1].name, "e");
}

TEST(TextReaderTest, AListWithoutAnEndHasTheItemsBeforeTheNextMember) {
  for (const char* end : {"", ",", "\nb: 3", ",\nb { c: 3 }", " }\nb: 3"}) {
    const ParsedText parsed = ReadTextFormat(absl::StrCat(
        absl::StartsWith(end, " }") ? "x { " : "", "a: [1, { y: 2 }", end));
    EXPECT_EQ(parsed.faults.size(), 1) << end;
    const Value* block = &parsed.root;
    if (block->members[0].name == "x") block = &block->members[0].value;
    ASSERT_EQ(block->members[0].value.items.size(), 2) << end;
    EXPECT_EQ(block->members[0].value.items[1].members[0].name, "y");
    EXPECT_EQ(parsed.root.members.size(), absl::StrContains(end, "b") ? 2 : 1);
  }
}

// Whatever stands around it.
TEST(TextReaderTest, NothingThatIsOpenedOrClosedAloneIsTakenInSilence) {
  const std::vector<std::string> words = {"a", "b", ":", "[", "]",  "{",
                                          "}", "<", ">", ",", "\n", "1"};
  std::mt19937 chance(1);
  int alone = 0;
  for (int i = 0; i < 20000; ++i) {
    std::string text;
    for (uint32_t n = chance() % 16; n > 0; --n) {
      absl::StrAppend(&text, words[chance() % words.size()], " ");
    }
    const auto count = [&](char c) {
      return std::count(text.begin(), text.end(), c);
    };
    if (count('[') == count(']') && count('{') == count('}') &&
        count('<') == count('>')) {
      continue;
    }
    ++alone;
    EXPECT_FALSE(ReadTextFormat(text).faults.empty()) << text;
  }
  EXPECT_GT(alone, 10000);
}

TEST(TextReaderTest, StopsAtManyFaults) {
  std::string text;
  for (size_t i = 0; i < 2 * kMostSyntaxFaults; ++i) text += "a 1\n";
  const std::vector<std::string> faults = FaultsOf(text);
  ASSERT_EQ(faults.size(), kMostSyntaxFaults + 1);
  EXPECT_THAT(faults.back(), HasSubstr("the rest is not read"));
}

TEST(TextReaderTest, RefusesBinaryAndDeepText) {
  EXPECT_THAT(FaultsOf(absl::string_view("a: 1\0b", 6)),
              ElementsAre(HasSubstr("byte 4 is zero")));
  std::string deep, list = "a: ";
  for (int i = 0; i < 100000; ++i) {
    deep += "a {";
    list += "[";
  }
  for (const std::string& text : {deep, list}) {
    EXPECT_THAT(FaultsOf(text), Contains(HasSubstr("nested more than")));
  }
}

}  // namespace
}  // namespace caracal
