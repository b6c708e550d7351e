#include "jobs/data/documents.h"

#include <sys/resource.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_replace.h"
#include "core/base/status_matchers.h"
#include "jobs/data/alpaca.h"
#include "jobs/data/line_reader.h"
#include "jobs/data/test_support.h"
#include "jobs/data/text_source.h"

namespace caracal {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

absl::StatusOr<std::vector<std::string>> Json(absl::string_view text) {
  StringSource bytes(text);
  TextSource source("a", &bytes);
  RecordingSink sink;
  int64_t replaced = 0;
  RETURN_IF_ERROR(ReadJsonLines("a.jsonl", &source, &sink, &replaced));
  EXPECT_EQ(sink.ended, sink.documents.size());
  return sink.documents;
}

absl::StatusOr<std::vector<std::string>> Text(absl::string_view text,
                                              TextDocuments documents,
                                              int64_t split_at = -1) {
  StringSource bytes(text);
  TextSource source("a", &bytes);
  RecordingSink sink;
  RETURN_IF_ERROR(ReadText("a.txt", {documents, split_at}, &source, &sink));
  EXPECT_EQ(sink.ended, sink.documents.size());
  return sink.documents;
}

TEST(Alpaca, Template) {
  EXPECT_EQ(AlpacaPrompt("Add.", "1 2"),
            "Below is an instruction that describes a task, paired with an "
            "input that provides further context. Write a response that "
            "appropriately completes the request.\n\n### Instruction:\nAdd."
            "\n\n### Input:\n1 2\n\n### Response:\n");
  EXPECT_EQ(AlpacaPrompt("Add.", ""),
            "Below is an instruction that describes a task. Write a response "
            "that appropriately completes the request.\n\n### Instruction:\n"
            "Add.\n\n### Response:\n");
}

TEST(FormatOfName, KnowsEndings) {
  for (const char* name : {"a.jsonl", "b/a.ndjson.gz", "A.JSONL.zst"}) {
    ASSERT_OK_AND_ASSIGN(const InputFormat format, FormatOfName(name));
    EXPECT_EQ(format, InputFormat::kJsonLines) << name;
  }
  for (const char* name : {"a.txt", "a.md.gz", "wiki.test.raw"}) {
    ASSERT_OK_AND_ASSIGN(const InputFormat format, FormatOfName(name));
    EXPECT_EQ(format, InputFormat::kText) << name;
  }
  for (const char* name : {"a.jsonl.GZ", "a.TXT.Zst"}) {
    EXPECT_OK(FormatOfName(name));
  }
  for (const char* name : {"book.gz", "book.zst", "a.b/book", "/dev/stdin",
                           "/proc/self/fd/12", "txt", ".gz"}) {
    ASSERT_OK_AND_ASSIGN(const InputFormat format, FormatOfName(name));
    EXPECT_EQ(format, InputFormat::kByContent) << name;
  }
  for (const char* name : {"a.json", "a.pdf", "a.txt.xz", "a.csv.gz"}) {
    EXPECT_THAT(FormatOfName(name),
                StatusIs(absl::StatusCode::kInvalidArgument,
                         AllOf(HasSubstr(name), HasSubstr(".jsonl"))));
  }
}

TEST(FormatOfContent, JsonLinesBeginWithAnObject) {
  for (const char* start : {"{\"text\": 1", " \n{ \"a", "{}", "\r\n{\n\""}) {
    EXPECT_EQ(FormatOfContent(start), InputFormat::kJsonLines) << start;
  }
  for (const char* start :
       {"", "text", "{", "{{cite}}", "{a", "[{\"a\"", "\""}) {
    EXPECT_EQ(FormatOfContent(start), InputFormat::kText) << start;
  }
}

TEST(LineReader, LinesOfAllKinds) {
  StringSource source(
      "one\r\n\nthree\xEF\xBB\xBF\n"
      "a long line, longer than a read\nlast");
  LineReader reader("a", &source);
  std::vector<std::string> lines;
  absl::string_view line;
  while (true) {
    ASSERT_OK_AND_ASSIGN(const bool more, reader.Next(&line));
    if (!more) break;
    lines.emplace_back(line);
    EXPECT_EQ(reader.line_number(), lines.size());
  }
  EXPECT_THAT(lines, ElementsAre("one", "", "three\xEF\xBB\xBF",
                                 "a long line, longer than a read", "last"));
}

TEST(LineReader, EndlessLinesAreRefused) {
  const std::string text =
      "x\n" + std::string(LineReader::kMaxLineBytes + 300000, 'y');
  StringSource source(text, text.size());
  LineReader reader("a.jsonl", &source);
  absl::string_view line;
  ASSERT_OK(reader.Next(&line));
  EXPECT_THAT(reader.Next(&line),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("a.jsonl: line 2 is longer than 64 MiB")));
}

TEST(JsonLines, TextAndInstructions) {
  ASSERT_OK_AND_ASSIGN(
      const auto documents,
      Json("{\"text\": \"one\\n\\u00e9\", \"id\": 7}\n"
           "\n  \r\n"
           "{\"instruction\": \"I\", \"input\": \"\", \"output\": \"O\"}\n"
           "{\"output\": \"O\", \"instruction\": \"I\", \"input\": null,"
           " \"text\": \"ready-made\"}\n"
           "{\"instruction\": \"I\", \"input\": \"in\", \"output\": \"\"}\n"
           "{\"text\": \"\"}"));
  EXPECT_THAT(
      documents,
      ElementsAre("turn|(one\né)",
                  absl::StrCat("turn|[", AlpacaPrompt("I", ""), "](O)"),
                  absl::StrCat("turn|[", AlpacaPrompt("I", ""), "](O)"),
                  absl::StrCat("turn|[", AlpacaPrompt("I", "in"), "]()"),
                  "turn|()"));
}

TEST(JsonLines, BadLinesAreNamed) {
  const auto refused = [](absl::string_view line, const char* message) {
    const std::string text = absl::StrCat("{\"text\": \"a\"}\n\n", line, "\n");
    EXPECT_THAT(Json(text), StatusIs(absl::StatusCode::kInvalidArgument,
                                     AllOf(HasSubstr("a.jsonl: line 3: "),
                                           HasSubstr(message))));
  };
  refused("{\"text\": ", "not valid JSON at byte ");
  refused("hello", "not valid JSON");
  refused("[{\"text\": \"a\"}]", "a JSON object expected, not array");
  refused("{\"text\": 5}", "\"text\": a string expected, not number");
  refused("{\"text\": null}", "\"text\": a string expected, not null");
  refused("{\"instruction\": \"a\", \"output\": [1]}",
          "\"output\": a string expected");
  refused("{\"instruction\": \"a\", \"output\": \"b\", \"input\": 3}",
          "\"input\": a string expected");
  refused("{\"instruction\": \"a\", \"answer\": \"b\"}",
          "neither \"text\" nor");
  refused("{}", "among the fields ()");
  refused("{\"text\": \"a\"} {}", "not valid JSON");
  EXPECT_THAT(Json(absl::string_view("{}\n{\0}", 6)),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("a: line 2: a zero byte")));
}

TEST(JsonLines, OtherFieldsAreOfNoInterest) {
  ASSERT_OK_AND_ASSIGN(
      const auto documents,
      Json("{\"id\": [1, {\"text\": \"inner\"}], \"text\": \"a\", "
           "\"meta\": {\"text\": 7, \"output\": []}, \"x\": null}\n"
           "{\"text\": \"first\", \"text\": \"last\"}\n"));
  EXPECT_THAT(documents, ElementsAre("turn|(a)", "turn|(last)"));
}

// What nobody asks for takes no memory: a document of it would take gigabytes
// (and some readers recurse).
TEST(JsonLines, DeepAndLongValuesAreSkipped) {
  const size_t depth = 20 << 20;
  const std::string line =
      "{\"text\": \"a\", \"x\": " + std::string(depth, '[') +
      std::string(depth, ']') + "}";
  rlimit before;
  ASSERT_EQ(getrlimit(RLIMIT_DATA, &before), 0);
  rlimit limit = before;
  limit.rlim_cur = size_t{512} << 20;
  ASSERT_EQ(setrlimit(RLIMIT_DATA, &limit), 0);
  StringSource source(line, 1 << 20);
  RecordingSink sink;
  int64_t replaced = 0;
  const absl::Status status =
      ReadJsonLines("a.jsonl", &source, &sink, &replaced);
  ASSERT_EQ(setrlimit(RLIMIT_DATA, &before), 0);
  ASSERT_OK(status);
  EXPECT_THAT(sink.documents, ElementsAre("turn|(a)"));
}

TEST(JsonLines, LongTextsComeInPieces) {
  std::string text;
  while (text.size() < 3000000) text += "some words, and more ";
  for (const std::string& line :
       {absl::StrCat("{\"text\": \"", text, "\"}"),
        absl::StrCat("{\"instruction\": \"", text, "\", \"output\": \"", text,
                     "\"}")}) {
    StringSource source(line, 100000);
    RecordingSink sink;
    int64_t replaced = 0;
    ASSERT_OK(ReadJsonLines("a.jsonl", &source, &sink, &replaced));
    ASSERT_EQ(sink.documents.size(), 1);
    EXPECT_GE(sink.pieces, 3);
    EXPECT_LE(sink.largest_piece, 1 << 20);
    EXPECT_THAT(sink.documents[0], HasSubstr(text));
  }
}

TEST(WholeFile, IsOneDocumentAsItIs) {
  for (const std::string& text : {std::string("a b\r\n\r\n  c\n"),
                                  std::string("é"), std::string("x\uFFFDy")}) {
    ASSERT_OK_AND_ASSIGN(const auto documents,
                         Text(text, TextDocuments::kWholeFile));
    EXPECT_THAT(documents, ElementsAre(absl::StrCat("turn|(", text, ")")));
  }
  ASSERT_OK_AND_ASSIGN(const auto marked, Text("\xEF\xBB\xBF"
                                               "ab",
                                               TextDocuments::kWholeFile));
  EXPECT_THAT(marked, ElementsAre("turn|(ab)"));
  ASSERT_OK_AND_ASSIGN(const auto empty, Text("", TextDocuments::kWholeFile));
  EXPECT_THAT(empty, ElementsAre("turn|"));
}

TEST(WholeFile, SplitsAtALineBreak) {
  const std::string text = "one\ntwo\nthree\nfour\n";
  const auto split = [&](int64_t at) {
    auto documents = Text(text, TextDocuments::kWholeFile, at);
    CARACAL_CHECK(documents.ok()) << documents.status().ToString();
    return *documents;
  };
  EXPECT_THAT(split(0),
              ElementsAre("train|(one\n)", "held|(two\nthree\nfour\n)"));
  EXPECT_THAT(split(9),
              ElementsAre("train|(one\ntwo\nthree\n)", "held|(four\n)"));
  EXPECT_THAT(split(500),
              ElementsAre("train|(one\ntwo\nthree\nfour\n)", "held|"));
  ASSERT_OK_AND_ASSIGN(const auto words,
                       Text("one two three", TextDocuments::kWholeFile, 5));
  EXPECT_THAT(words, ElementsAre("train|(one two)", "held|( three)"));
  ASSERT_OK_AND_ASSIGN(const auto chars,
                       Text("中文", TextDocuments::kWholeFile, 1));
  EXPECT_THAT(chars, ElementsAre("train|(中)", "held|(文)"));
}

TEST(WholeFile, LongTextComesInPieces) {
  // English, no letters before spaces, and no spaces at all.
  for (const char* unit : {"some words, and more ", "12 . ", "中"}) {
    std::string text;
    while (text.size() < 3500000) text += unit;
    StringSource source(text, 100000);
    RecordingSink sink;
    ASSERT_OK(ReadText("a.txt", {TextDocuments::kWholeFile, 2000000}, &source,
                       &sink));
    ASSERT_EQ(sink.documents.size(), 2);
    EXPECT_GE(sink.pieces, 4);
    EXPECT_LE(sink.largest_piece, (1 << 20) + 4);
    const std::string joined =
        sink.documents[0].substr(7, sink.documents[0].size() - 8) +
        sink.documents[1].substr(6, sink.documents[1].size() - 7);
    EXPECT_TRUE(joined == text);
    EXPECT_NEAR(sink.documents[0].size(), 2000000, 100);
  }
}

TEST(WholeFile, BinaryIsRefused) {
  EXPECT_THAT(Text(absl::string_view("a\n\0b", 4), TextDocuments::kWholeFile),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("a: line 2: a zero byte")));
}

TEST(BlankLines, DivideDocuments) {
  ASSERT_OK_AND_ASSIGN(const auto documents,
                       Text("\n\none\ntwo\r\n \t\n\nthree\n\n\n  four",
                            TextDocuments::kBlankLines));
  EXPECT_THAT(documents,
              ElementsAre("turn|(one\ntwo)", "turn|(three)", "turn|(  four)"));
  ASSERT_OK_AND_ASSIGN(const auto none,
                       Text("\n \n", TextDocuments::kBlankLines));
  EXPECT_TRUE(none.empty());
  EXPECT_THAT(Text(absl::string_view("a\n\0b", 4), TextDocuments::kBlankLines),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("a: line 2: a zero byte")));
}

}  // namespace
}  // namespace caracal
