#include "jobs/data/pack.h"

#include <hdf5.h>
#include <unistd.h>

#include <algorithm>
#include <string>
#include <vector>

#include "absl/strings/str_join.h"
#include "core/base/fault_file_system.h"
#include "core/base/status_matchers.h"
#include "core/base/temporary_folder.h"
#include "core/io/dataset/packed_dataset.h"
#include "core/io/tokenizer/load_tokenizer.h"
#include "jobs/data/alpaca.h"
#include "jobs/data/test_support.h"

namespace caracal {
namespace {

using ::testing::AllOf;
using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

// All rows of a packed file, end to end.
struct Rows {
  std::vector<int32_t> tokens;
  std::vector<uint8_t> mask;
  std::vector<int64_t> document;
  int64_t rows = 0;
};

class PackTest : public ::testing::Test {
 protected:
  PackTest() : tokenizer_(ByteTokenizer()), out_(folder_.File("out.h5")) {}

  std::string Write(const std::string& name, absl::string_view text) {
    const std::string path = folder_.File(name);
    CARACAL_CHECK_OK(FileSystem::Posix()->WriteFileAtomically(path, text));
    return path;
  }
  PackOptions Options(std::vector<std::string> inputs, int64_t seq_len = 7) {
    PackOptions options;
    options.inputs = std::move(inputs);
    options.tokenizer = tokenizer_.get();
    options.seq_len = seq_len;
    options.out = out_;
    return options;
  }
  Rows Read(const std::string& path) {
    PackedDatasetOptions options;
    options.vocab_size = tokenizer_->vocab_size();
    options.tokenizer_fingerprint = tokenizer_->fingerprint();
    auto data = PackedDataset::Open(path, options);
    CARACAL_CHECK(data.ok()) << data.status().ToString();
    Rows out;
    out.rows = (*data)->rows();
    const size_t n = (*data)->row_tokens();
    out.tokens.resize(out.rows * n);
    out.mask.resize(out.rows * n);
    out.document.resize(out.rows * n);
    for (int64_t row = 0; row < out.rows; ++row) {
      EXPECT_OK(
          (*data)->ReadRow(row, absl::MakeSpan(out.tokens).subspan(row * n, n),
                           absl::MakeSpan(out.mask).subspan(row * n, n),
                           absl::MakeSpan(out.document).subspan(row * n, n)));
    }
    return out;
  }
  std::string ReadBytes(const std::string& path) {
    auto bytes = FileSystem::Posix()->ReadFile(path);
    CARACAL_CHECK(bytes.ok()) << bytes.status().ToString();
    return *bytes;
  }
  std::vector<std::string> Files() {
    auto names = FileSystem::Posix()->List(folder_.path());
    CARACAL_CHECK(names.ok());
    return *names;
  }

  TemporaryFolder folder_;
  std::unique_ptr<Tokenizer> tokenizer_;
  const std::string out_;
};

TEST_F(PackTest, RowsFollowEachOtherWithoutOverlap) {
  const std::string input =
      Write("a.jsonl",
            "{\"text\": \"abcdef\"}\n{\"text\": \"\"}\n"
            "{\"text\": \"ghijklmnop\"}\n{\"text\": \"q\"}\n");
  ASSERT_OK_AND_ASSIGN(const PackResult result, PackData(Options({input})));
  EXPECT_EQ(result.train.documents, 3);
  EXPECT_EQ(result.train.tokens, 6 + 1 + 10 + 1 + 1 + 1);
  EXPECT_EQ(result.train.rows, 2);
  EXPECT_EQ(result.train.masked_tokens, 0);
  EXPECT_EQ(result.train.dropped_tail_tokens, 4);
  EXPECT_EQ(result.train.dropped_rows, 0);
  EXPECT_EQ(result.text_bytes, 17);
  EXPECT_EQ(result.input_bytes, ReadBytes(input).size());
  const Rows rows = Read(out_);
  EXPECT_EQ(tokenizer_->Decode(rows.tokens), "abcdef<eos>ghijklmno");
  EXPECT_THAT(rows.mask, Each(1));
  EXPECT_THAT(rows.document, ElementsAre(0, 0, 0, 0, 0, 0, 0, 1,  //
                                         1, 1, 1, 1, 1, 1, 1, 1));
}

TEST_F(PackTest, SaysWhatItIs) {
  const std::string input = Write("a.txt", "abcdefghi");
  ASSERT_OK(PackData(Options({input})));
  ASSERT_OK_AND_ASSIGN(const hdf5::File file, hdf5::File::Open(out_));
  const auto text = [&](const char* name) {
    return file.StringAttribute("/", name).value_or("?");
  };
  const auto number = [&](const char* name) {
    return file.IntAttribute("/", name).value_or(-1);
  };
  EXPECT_EQ(text("format"), "caracal.packed");
  EXPECT_EQ(number("format_version"), 1);
  EXPECT_EQ(text("split"), "train");
  EXPECT_EQ(text("tokenizer_fingerprint"), tokenizer_->fingerprint());
  EXPECT_EQ(number("seq_len"), 7);
  EXPECT_EQ(number("vocab_size"), 258);
  EXPECT_EQ(number("eos_id"), 256);
  EXPECT_EQ(number("max_token_id"), 'h');  // the rest is tail
  EXPECT_EQ(number("documents"), 1);
  EXPECT_EQ(number("tokens"), 10);
  EXPECT_EQ(number("dropped_tail_tokens"), 2);
}

TEST_F(PackTest, PromptsAreNotInTheLoss) {
  const std::string input =
      Write("a.jsonl",
            "{\"instruction\": \"I\", \"input\": \"x\", "
            "\"output\": \"yes\"}\n{\"text\": \"free\"}\n");
  const std::string prompt = AlpacaPrompt("I", "x");
  const std::string all = prompt + "yes<eos>free<eos>";
  const auto n = static_cast<int64_t>(prompt.size() + 4 + 5);
  ASSERT_OK_AND_ASSIGN(const PackResult result,
                       PackData(Options({input}, n - 1)));
  EXPECT_EQ(result.train.rows, 1);
  EXPECT_EQ(result.train.masked_tokens, prompt.size());
  const Rows rows = Read(out_);
  EXPECT_EQ(tokenizer_->Decode(rows.tokens), all);
  for (int64_t i = 0; i < n; ++i) {
    EXPECT_EQ(rows.mask[i], i >= static_cast<int64_t>(prompt.size())) << i;
    EXPECT_EQ(rows.document[i], i >= n - 5) << i;
  }
}

TEST_F(PackTest, RowsWithoutTargetsAreDropped) {
  const std::string input =
      Write("a.jsonl", "{\"instruction\": \"I\", \"output\": \"yes\"}\n");
  const std::string prompt = AlpacaPrompt("I", "");
  ASSERT_OK_AND_ASSIGN(const PackResult result, PackData(Options({input}, 3)));
  const int64_t total = static_cast<int64_t>(prompt.size()) + 4;
  // Rows before the one in which the output begins have no target.
  EXPECT_EQ(result.train.dropped_rows, static_cast<int64_t>(prompt.size()) / 4);
  EXPECT_EQ(result.train.rows,
            total / 4 - static_cast<int64_t>(prompt.size()) / 4);
  const Rows rows = Read(out_);
  EXPECT_EQ(rows.tokens[0], prompt[prompt.size() / 4 * 4]);
}

TEST_F(PackTest, TargetsThatNoPositionPredictsDontCount) {
  // The row is 3 prompt bytes less than a multiple of 4: its only token in the
  // loss is the first one of a row, which nothing predicts.
  const std::string prompt = AlpacaPrompt("", "");
  std::string instruction(4 - prompt.size() % 4, 'i');
  const std::string input = Write(
      "a.jsonl", absl::StrCat("{\"instruction\": \"", instruction,
                              "\", \"output\": \"\"}\n", "{\"instruction\": \"",
                              instruction, "\", \"output\": \"\"}\n",
                              "{\"text\": \"abcdefgh\"}\n"));
  ASSERT_OK_AND_ASSIGN(const PackResult result, PackData(Options({input}, 3)));
  const Rows rows = Read(out_);
  for (int64_t row = 0; row < rows.rows; ++row) {
    EXPECT_EQ(std::count(rows.mask.begin() + row * 4 + 1,
                         rows.mask.begin() + row * 4 + 4, 1) > 0,
              true)
        << row;
  }
  const int64_t prompt_rows =
      static_cast<int64_t>(prompt.size() + instruction.size()) / 4;
  // Of the first document all rows, and the one that begins with its EOS.
  EXPECT_GE(result.train.dropped_rows, prompt_rows + 1);
}

TEST_F(PackTest, EachDocumentBeginsWithBosWhereTheTokenizerHasIt) {
  tokenizer_ = ByteTokenizer(/*with_bos=*/true);
  const std::string input =
      Write("a.jsonl", "{\"text\": \"ab\"}\n{\"text\": \"cd\"}\n");
  ASSERT_OK(PackData(Options({input})));
  EXPECT_EQ(tokenizer_->Decode(Read(out_).tokens), "<bos>ab<eos><bos>cd<eos>");
}

TEST_F(PackTest, SpecialTokensInText) {
  const std::string input = Write("a.txt", "a<eos>b<eos>c<bos>d");
  ASSERT_OK(PackData(Options({input})));
  EXPECT_THAT(Read(out_).tokens, ElementsAre('a', kTestEos, 'b', kTestEos, 'c',
                                             kTestBos, 'd', kTestEos));
  PackOptions options = Options({input});
  options.parse_special = false;
  ASSERT_OK(PackData(options));
  EXPECT_THAT(Read(out_).tokens,
              ElementsAre('a', '<', 'e', 'o', 's', '>', 'b', '<', 'e', 'o', 's',
                          '>', 'c', '<', 'b', 'o'));
}

TEST_F(PackTest, CompressedInputsAndReruns) {
  std::string json;
  for (int i = 0; i < 6000; ++i) {
    absl::StrAppend(&json, "{\"text\": \"document ", i, " é\"}\n");
  }
  const std::vector<std::string> inputs = {Write("a.jsonl", json),
                                           Write("b.jsonl.gz", Gzip(json)),
                                           Write("c.jsonl.zst", Zstd(json))};
  std::vector<std::string> outputs;
  for (const std::string& input : inputs) {
    ASSERT_OK_AND_ASSIGN(const PackResult result,
                         PackData(Options({input}, 63)));
    EXPECT_EQ(result.train.documents, 6000);
    outputs.push_back(ReadBytes(out_));
  }
  EXPECT_TRUE(outputs[0] == outputs[1]);
  EXPECT_TRUE(outputs[0] == outputs[2]);
  EXPECT_GT(Read(out_).rows, 1100);  // more than is buffered
}

TEST_F(PackTest, FilesHoldNoTimes) {
  // Or else reruns would differ.
  ASSERT_OK(PackData(Options({Write("a.txt", "abcdefghijk")})));
  const hid_t file = H5Fopen(out_.c_str(), H5F_ACC_RDONLY, H5P_DEFAULT);
  ASSERT_GE(file, 0);
  for (const char* name : {"/", "/tokens", "/loss_mask", "/document"}) {
    H5O_info_t info;
    ASSERT_GE(H5Oget_info_by_name(file, name, &info, H5P_DEFAULT), 0) << name;
    EXPECT_EQ(info.ctime, 0) << name;
    EXPECT_EQ(info.btime, 0) << name;
  }
  H5Fclose(file);
}

TEST_F(PackTest, FewBadSequencesAreReplacedAndCounted) {
  const std::string filler(500, 'x');
  const std::vector<std::string> inputs = {
      Write("a.txt", filler + "\xFF\xFF" + filler),
      Write("b.jsonl", "{\"text\": \"" + filler + "\xE4\xB8\"}\n"),
      Write("c.txt", "good")};
  ASSERT_OK_AND_ASSIGN(const PackResult result, PackData(Options(inputs, 1)));
  EXPECT_EQ(result.replaced, 3);
  EXPECT_EQ(tokenizer_->Decode(Read(out_).tokens),
            filler + "\uFFFD\uFFFD" + filler + "<eos>" + filler +
                "\uFFFD<eos>good" + "<eos>");
  ASSERT_OK_AND_ASSIGN(const hdf5::File file, hdf5::File::Open(out_));
  EXPECT_EQ(file.IntAttribute("/", "replaced_sequences").value_or(-1), 3);
}

TEST_F(PackTest, PipesAndNamesWithoutEnding) {
  for (const auto& [bytes, documents] :
       {std::pair{std::string("one two\n\nthree"), 1},
        {Gzip("one two\n\nthree"), 1},
        {std::string("{\"text\": \"one two\"}\n{\"text\": \"three\"}"), 2}}) {
    const FilledPipe pipe(bytes);
    for (const std::string& input : {pipe.path(), Write("book", bytes)}) {
      SCOPED_TRACE(input);
      ASSERT_OK_AND_ASSIGN(const PackResult result, PackData(Options({input})));
      EXPECT_EQ(result.train.documents, documents);
      EXPECT_EQ(result.input_bytes, bytes.size());
    }
  }
  const FilledPipe pipe("one\n\ntwo\n\nthree\n\nfour\n");
  PackOptions options = Options({pipe.path()}, 1);
  options.held_out = folder_.File("held.h5");
  options.held_out_fraction = 0.5;
  EXPECT_THAT(PackData(options),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       AllOf(HasSubstr(pipe.path()), HasSubstr("is a pipe"))));
  const FilledPipe again("one\n\ntwo\n\nthree\n\nfour\n");
  options.inputs = {again.path()};
  options.text_documents = TextDocuments::kBlankLines;
  ASSERT_OK_AND_ASSIGN(const PackResult result, PackData(options));
  EXPECT_EQ(result.train.documents, 2);
  EXPECT_EQ(result.held_out.documents, 2);
}

TEST_F(PackTest, OneFileUnderTwoNamesIsSeen) {
  const std::string text = "abcdefghijklmnop";
  const std::string input = Write("a.txt", text);
  const std::string link = folder_.File("link.txt");
  const std::string folder_link = folder_.File("folder");
  ASSERT_EQ(symlink(input.c_str(), link.c_str()), 0);
  ASSERT_EQ(symlink(folder_.path().c_str(), folder_link.c_str()), 0);
  const auto refused = [&](const std::string& in, const std::string& out,
                           const std::string& held_out) {
    PackOptions options = Options({in}, 3);
    options.out = out;
    options.held_out = held_out;
    options.held_out_fraction = held_out.empty() ? 0 : 0.5;
    EXPECT_THAT(PackData(options), StatusIs(absl::StatusCode::kInvalidArgument,
                                            HasSubstr("at once")))
        << in << " " << out << " " << held_out;
    EXPECT_EQ(ReadBytes(input), text);
  };
  const std::string dotted = folder_.path() + "/./a.txt";
  refused(input, dotted, "");
  refused(link, input, "");
  refused(input, folder_link + "/a.txt", "");
  refused(input, out_, dotted);
  refused(input, out_, folder_link + "/out.h5");
  refused(input, out_, out_ + ".tmp");
  // Would be emptied before it is read.
  const std::string temporary = folder_.File("x.h5.tmp");
  ASSERT_OK(FileSystem::Posix()->WriteFileAtomically(temporary, text));
  PackOptions options = Options({temporary}, 3);
  options.format = InputFormat::kText;
  options.out = folder_.File("x.h5");
  EXPECT_THAT(PackData(options), StatusIs(absl::StatusCode::kInvalidArgument,
                                          HasSubstr("at once")));
  EXPECT_EQ(ReadBytes(temporary), text);

  options = Options({input}, 3);
  options.out = folder_.path();
  EXPECT_THAT(PackData(options), StatusIs(absl::StatusCode::kInvalidArgument,
                                          HasSubstr("is a folder")));
}

TEST_F(PackTest, InputsAreReadInOrder) {
  const std::string a = Write("a.txt", "aaa");
  const std::string b = Write("b.jsonl", "{\"text\": \"bbb\"}");
  ASSERT_OK(PackData(Options({b, a})));
  EXPECT_EQ(tokenizer_->Decode(Read(out_).tokens), "bbb<eos>aaa<eos>");
}

TEST_F(PackTest, HoldsOutEveryFewthDocument) {
  std::string json;
  for (int i = 0; i < 10; ++i) {
    absl::StrAppend(&json, "{\"text\": \"", i, i, i, "\"}\n");
  }
  PackOptions options = Options({Write("a.jsonl", json)}, 3);
  options.held_out = folder_.File("held.h5");
  options.held_out_fraction = 0.3;
  ASSERT_OK_AND_ASSIGN(const PackResult result, PackData(options));
  EXPECT_EQ(result.train.documents, 7);
  EXPECT_EQ(result.held_out.documents, 3);
  EXPECT_EQ(tokenizer_->Decode(Read(options.held_out).tokens, true),
            "333666999");
  EXPECT_EQ(tokenizer_->Decode(Read(out_).tokens, true),
            "000111222444555777888");
  // Documents are numbered in each file.
  EXPECT_THAT(Read(options.held_out).document,
              ElementsAre(0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2));
}

TEST_F(PackTest, HoldsOutTheEndOfAText) {
  std::string text;
  for (int i = 0; i < 100; ++i) absl::StrAppend(&text, "line ", i + 100, "\n");
  for (const std::string& input :
       {Write("a.txt", text), Write("a.txt.gz", Gzip(text))}) {
    PackOptions options = Options({input}, 8);
    options.held_out = folder_.File("held.h5");
    options.held_out_fraction = 0.25;
    ASSERT_OK_AND_ASSIGN(const PackResult result, PackData(options));
    EXPECT_EQ(result.train.tokens, 76 * 9 + 1);
    EXPECT_EQ(result.held_out.tokens, 24 * 9 + 1);
    EXPECT_EQ(tokenizer_->Decode(Read(options.held_out).tokens),
              text.substr(76 * 9));
  }
}

TEST_F(PackTest, PiecesOfLongTextGiveTheTokensOfTheWhole) {
  auto tokenizer = LoadTokenizer("tests/golden/tokenizer/smollm.gguf");
  ASSERT_OK(tokenizer);
  tokenizer_ = *std::move(tokenizer);
  // English, the odd accent, digits and special tokens, in many phases.
  std::string text;
  while (text.size() < 2500000) {
    absl::StrAppend(&text,
                    "It was the best of times, it wasn't the worst of times;\n"
                    "  the year of Our Lord one thousand seven hundred.\n\n é ",
                    text.size(), "  <|im_start|>  ");
  }
  ASSERT_OK_AND_ASSIGN(std::vector<int32_t> expected, tokenizer_->Encode(text));
  expected.push_back(tokenizer_->eos_id());
  const auto seq_len = static_cast<int64_t>(expected.size()) - 1;
  ASSERT_OK(PackData(Options({Write("a.txt", text)}, seq_len)));
  EXPECT_TRUE(Read(out_).tokens == expected);
}

TEST_F(PackTest, ReportsProgressAndStopsOnRequest) {
  const std::string text(5 << 20, 'x');
  const std::string input = Write("a.txt", text);
  std::vector<int64_t> seen;
  ASSERT_OK(PackData(Options({input}, 1023), [&](const PackProgress& progress) {
    EXPECT_EQ(progress.input_bytes_total, 5 << 20);
    EXPECT_EQ(progress.input, input);
    seen.push_back(progress.input_bytes);
    return absl::OkStatus();
  }));
  EXPECT_GE(seen.size(), 5);
  EXPECT_TRUE(std::is_sorted(seen.begin(), seen.end()));
  EXPECT_EQ(seen.back(), 5 << 20);

  const std::string before = ReadBytes(out_);
  EXPECT_THAT(PackData(Options({input}, 9),
                       [](const PackProgress&) {
                         return absl::CancelledError("stop");
                       }),
              StatusIs(absl::StatusCode::kCancelled, HasSubstr("stop")));
  EXPECT_EQ(ReadBytes(out_), before);
  EXPECT_THAT(Files(), ElementsAre("a.txt", "out.h5"));
}

TEST_F(PackTest, BadInputsAreNamedAndLeaveNothing) {
  const std::string good = Write("good.txt", "abcdefghijkl");
  const auto refused = [&](const std::string& input, absl::StatusCode code,
                           const char* message) {
    EXPECT_THAT(PackData(Options({good, input})),
                StatusIs(code, AllOf(HasSubstr(input), HasSubstr(message))));
    for (const std::string& name : Files()) {
      EXPECT_THAT(name, Not(HasSubstr("out.h5")));
    }
  };
  using absl::StatusCode;
  refused(Write("empty.txt", ""), StatusCode::kInvalidArgument, "is empty");
  const char* const no_text = "there is no text in it but white space";
  for (const auto& [name, text] : {std::pair{"empty.jsonl", "\n\n"},
                                   {"none.jsonl", "{\"text\": \"\"}"},
                                   {"white.jsonl", "{\"text\": \" \\n\"}"},
                                   {"white.txt", " \n\t\r\n"}}) {
    refused(Write(name, text), StatusCode::kInvalidArgument, no_text);
  }
  refused(Write("nothing.txt.gz", Gzip("")), StatusCode::kInvalidArgument,
          no_text);
  refused(Write("wrong.txt.gz", "plain text, or what is left of a file"),
          StatusCode::kDataLoss, "its name says gzip");
  refused(Write("latin1.txt", "caf\xE9 cr\xE8me"), StatusCode::kInvalidArgument,
          "line 1: the byte 0xE9 at byte offset 3 is not UTF-8");
  refused(Write("latin1.jsonl", "{\"text\": \"\xE9\xE8\"}"),
          StatusCode::kInvalidArgument, "the byte 0xE9 at byte offset 10");
  refused(folder_.path(), StatusCode::kInvalidArgument, "is a folder; give");
  refused(Write("bin.txt", absl::string_view("ab\n\0", 4)),
          StatusCode::kInvalidArgument, "line 2: a zero byte");
  refused(Write("bad.jsonl", "{\"text\": \"a\"}\n{\"txt\": \"b\"}"),
          StatusCode::kInvalidArgument, "line 2: neither");
  refused(Write("a.pdf", "x"), StatusCode::kInvalidArgument,
          "can't tell the format");
  refused(Write("cut.txt.gz", Gzip("abc").substr(0, 12)), StatusCode::kDataLoss,
          "damaged gzip data");
  refused(folder_.File("missing.txt"), StatusCode::kNotFound, "");
}

TEST_F(PackTest, TooLittleTextIsAnError) {
  const std::string input = Write("a.txt", "abc");
  EXPECT_THAT(PackData(Options({input})),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       AllOf(HasSubstr("the train part has 4 tokens"),
                             HasSubstr("no row of 8 tokens"))));
  EXPECT_THAT(Files(), ElementsAre("a.txt"));
}

TEST_F(PackTest, BadOptionsAreRefused) {
  const std::string input = Write("a.txt", "abcdefghijklmnop");
  const auto refused = [&](auto change, const char* message) {
    PackOptions options = Options({input});
    change(options);
    EXPECT_THAT(PackData(options), StatusIs(absl::StatusCode::kInvalidArgument,
                                            HasSubstr(message)));
  };
  refused([](PackOptions& o) { o.inputs.clear(); }, "no input");
  refused([](PackOptions& o) { o.out = ""; }, "no output");
  refused([](PackOptions& o) { o.seq_len = 0; }, "seq_len 0");
  refused([](PackOptions& o) { o.seq_len = 1 << 24; }, "seq_len 16777216");
  refused([](PackOptions& o) { o.held_out_fraction = 0.1; },
          "without a held-out file");
  refused([](PackOptions& o) { o.held_out = "x"; }, "fraction 0 is out");
  refused(
      [](PackOptions& o) {
        o.held_out = "x";
        o.held_out_fraction = 1;
      },
      "fraction 1 is out");
  refused(
      [](PackOptions& o) {
        o.held_out = o.out;
        o.held_out_fraction = 0.5;
      },
      "at once");
  refused([&](PackOptions& o) { o.out = input; }, "an input and an output");
}

TEST_F(PackTest, ATokenizerWithoutEosIsRefused) {
  TokenizerSpec spec;
  spec.source = "no_eos.json";
  spec.vocab = {"a"};
  auto bare = Tokenizer::Create(spec);
  ASSERT_OK(bare);
  tokenizer_ = *std::move(bare);
  EXPECT_THAT(PackData(Options({Write("a.txt", "aaaaaaaaaa")})),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       HasSubstr("no_eos.json: the tokenizer names no EOS")));
}

TEST_F(PackTest, AFullDiskLeavesNothingBehind) {
  // Every point at which space can run out.
  std::string text;
  for (int i = 0; i < 3000; ++i) absl::StrAppend(&text, "line ", i, "\n");
  int64_t failures = 0;
  for (int64_t space = 0;; space += 3) {
    FaultFileSystem disk;
    ASSERT_OK(disk.CreateFolder("/d"));
    ASSERT_OK(disk.WriteFileAtomically("/d/a.txt", text));
    ASSERT_OK(disk.WriteFileAtomically("/d/out.h5", "old"));
    PackOptions options = Options({"/d/a.txt"}, 15);
    options.out = "/d/out.h5";
    options.files = &disk;
    disk.RunOutOfSpaceAfter(space);
    const auto result = PackData(options);
    disk.RunOutOfSpaceAfter(-1);
    ASSERT_OK_AND_ASSIGN(const auto names, disk.List("/d"));
    EXPECT_EQ(absl::StrJoin(names, " "), "a.txt out.h5");
    if (result.ok()) break;
    ++failures;
    EXPECT_THAT(result, StatusIs(absl::StatusCode::kResourceExhausted,
                                 HasSubstr("/d/out.h5")));
    ASSERT_OK_AND_ASSIGN(const std::string old, disk.ReadFile("/d/out.h5"));
    EXPECT_EQ(old, "old");
  }
  EXPECT_GT(failures, 2);
}

}  // namespace
}  // namespace caracal
