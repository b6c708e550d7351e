#include "core/io/tokenizer/tokenizer_json.h"

#include <string>

#include "absl/strings/str_replace.h"
#include "core/base/status_matchers.h"

namespace caracal {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr char kGood[] = R"({
 "added_tokens": [{"id": 3, "content": "<s>", "special": true}],
 "normalizer": null,
 "pre_tokenizer": {"type": "Sequence", "pretokenizers": [
   {"type": "Digits", "individual_digits": true},
   {"type": "ByteLevel", "add_prefix_space": false, "use_regex": true}]},
 "post_processor": {"type": "TemplateProcessing",
   "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}},
              {"Sequence": {"id": "A", "type_id": 0}}],
   "special_tokens": {"<s>": {"id": "<s>", "ids": [3], "tokens": ["<s>"]}}},
 "decoder": {"type": "ByteLevel"},
 "model": {"type": "BPE", "vocab": {"a": 0, "b": 1, "ab": 2},
           "merges": [["a", "b"]], "unk_token": null, "dropout": null}
})";

absl::StatusOr<TokenizerSpec> Parse(absl::string_view json) {
  return ParseTokenizerJson(json, "t.json");
}

// kGood with one part exchanged.
std::string With(absl::string_view part, absl::string_view by) {
  const std::string json = absl::StrReplaceAll(kGood, {{part, by}});
  EXPECT_NE(json, kGood) << part;
  return json;
}

TEST(TokenizerJson, ReadsAllParts) {
  ASSERT_OK_AND_ASSIGN(const TokenizerSpec spec, Parse(kGood));
  EXPECT_EQ(spec.source, "t.json");
  EXPECT_THAT(spec.vocab, ElementsAre("a", "b", "ab"));
  ASSERT_EQ(spec.merges.size(), 1);
  EXPECT_EQ(spec.merges[0].second, "b");
  ASSERT_EQ(spec.pre_tokenizer.size(), 2);
  EXPECT_EQ(spec.pre_tokenizer[0].pattern, kDigitPattern);
  EXPECT_EQ(spec.pre_tokenizer[1].pattern, kGpt2Pattern);
  EXPECT_THAT(spec.prefix_ids, ElementsAre(3));
  EXPECT_TRUE(spec.suffix_ids.empty());
  ASSERT_EQ(spec.added.size(), 1);
  EXPECT_TRUE(spec.added[0].special);
  EXPECT_FALSE(spec.added[0].normalized);
  EXPECT_FALSE(spec.ignore_merges);
}

TEST(TokenizerJson, MergesAsStrings) {
  ASSERT_OK_AND_ASSIGN(
      const TokenizerSpec spec,
      Parse(With(R"([["a", "b"]])", R"(["#version: 0.2", "a b"])")));
  ASSERT_EQ(spec.merges.size(), 1);
  EXPECT_EQ(spec.merges[0].first, "a");
}

TEST(TokenizerJson, UnsupportedKindsAreNamed) {
  const auto refused = [](const std::string& json, const char* field,
                          const char* what) {
    EXPECT_THAT(Parse(json),
                StatusIs(absl::StatusCode::kUnimplemented,
                         AllOf(HasSubstr("t.json: "), HasSubstr(field),
                               HasSubstr(what))));
  };
  refused(With(R"("normalizer": null)", R"("normalizer": {"type": "NFC"})"),
          "normalizer: ", "\"NFC\" is not supported; supported: Sequence");
  refused(With(R"("Digits")", R"("Metaspace")"),
          "pre_tokenizer.pretokenizers[0]: ", "Metaspace");
  refused(With(R"("TemplateProcessing")", R"("BertProcessing")"),
          "post_processor: ", "BertProcessing");
  refused(With(R"("decoder": {"type": "ByteLevel"})",
               R"("decoder": {"type": "WordPiece"})"),
          "decoder: ", "WordPiece");
  refused(With(R"("decoder": {"type": "ByteLevel"})", R"("decoder": null)"),
          "decoder: ", "no ByteLevel");
  refused(With(R"("type": "BPE")", R"("type": "Unigram")"),
          "model: ", "Unigram");
  refused(With(R"("dropout": null)", R"("dropout": 0.1)"),
          "model: ", "dropout");
  refused(With(R"("dropout": null)", R"("byte_fallback": true)"),
          "model: ", "byte_fallback");
  refused(With(R"("dropout": null)", R"("end_of_word_suffix": "</w>")"),
          "model: ", "end_of_word_suffix");
  refused(With(R"({"type": "Digits", "individual_digits": true})",
               R"({"type": "Split", "pattern": {"String": " "},
                   "behavior": "Removed", "invert": false})"),
          "pretokenizers[0]", "\"Removed\"");
}

TEST(TokenizerJson, WrongFieldsAreNamed) {
  const auto refused = [](const std::string& json, const char* message) {
    EXPECT_THAT(Parse(json),
                StatusIs(absl::StatusCode::kInvalidArgument,
                         AllOf(HasSubstr("t.json: "), HasSubstr(message))));
  };
  refused("{}", "\"model\" is missing");
  refused("[1]", "an object expected, not array");
  refused(With(R"("vocab": {"a": 0, "b": 1, "ab": 2})", R"("vocab": [])"),
          "model.vocab: an object");
  refused(With(R"("ab": 2)", R"("ab": 1)"), "id 1 is given twice");
  refused(With(R"("ab": 2)", R"("ab": -2)"), "\"ab\": id -2 is out of range");
  refused(With(R"("ab": 2)", R"("ab": 4000000000)"), "out of range");
  refused(With(R"("ab": 2)", R"("ab": 18446744073709551615)"), "out of range");
  refused(With(R"("ab": 2)", R"("ab": 2.5)"), "an id expected");
  refused(With(R"("ab": 2)", R"("ab": "\ud83d\ude00")"), "an id expected");
  refused(With(R"([["a", "b"]])", R"([["a"]])"), "model.merges[0]");
  refused(With(R"([["a", "b"]])", R"(["a  b"])"), "model.merges[0]");
  refused(With(R"([["a", "b"]])", R"(7)"), "model.merges: an array expected");
  refused(With(R"("unk_token": null)", R"("unk_token": "?")"),
          "unk_token \"?\"");
  refused(With(R"("use_regex": true)", R"("use_regex": 1)"),
          "pretokenizers[1].use_regex: true or false expected");
  refused(With(R"({"type": "Digits", "individual_digits": true})",
               R"({"type": "ByteLevel"})"),
          "ByteLevel");
  refused(With(R"({"type": "Digits", "individual_digits": true})",
               R"({"kind": "Digits"})"),
          "pretokenizers[0]: \"type\" is missing");
  refused(With(R"("ids": [3])", R"("ids": 3)"), "ids: an array expected");
  refused(With(R"({"Sequence": {"id": "A", "type_id": 0}})",
               R"({"SpecialToken": {"id": "<x>"}})"),
          "special_tokens: \"<x>\" is missing");
  refused(With(R"("content": "<s>", )", ""), "added_tokens[0]: \"content\"");
}

TEST(TokenizerJson, DeepNestingIsRefused) {
  std::string open;
  std::string close;
  for (int i = 0; i < 100000; ++i) {
    open += R"({"type": "Sequence", "normalizers": [)";
    close += "]}";
  }
  EXPECT_THAT(Parse(With(R"("normalizer": null)",
                         absl::StrCat("\"normalizer\": ", open, close))),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("nested too deep")));
}

TEST(TokenizerJson, NotJson) {
  for (const char* text : {"", "{", "\xFF\xFE", "{\"a\": \"\xFF\"}"}) {
    EXPECT_THAT(Parse(text), StatusIs(absl::StatusCode::kDataLoss,
                                      HasSubstr("t.json: not valid JSON")));
  }
}

}  // namespace
}  // namespace caracal
