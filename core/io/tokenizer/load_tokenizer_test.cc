#include "core/io/tokenizer/load_tokenizer.h"

#include <string>

#include "core/base/status_matchers.h"
#include "core/base/temporary_folder.h"

namespace caracal {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

constexpr char kFolder[] = "tests/golden/tokenizer/";

std::string Golden(absl::string_view name) {
  return absl::StrCat(kFolder, name);
}

// A folder with a copy of a golden tokenizer.json.
class LoadTokenizerTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_OK_AND_ASSIGN(
        json_, FileSystem::Posix()->ReadFile(Golden("smollm/tokenizer.json")));
    Write("tokenizer.json", json_);
  }
  void Write(const std::string& name, absl::string_view contents) {
    ASSERT_OK(
        FileSystem::Posix()->WriteFileAtomically(folder_.File(name), contents));
  }

  TemporaryFolder folder_;
  std::string json_;
};

TEST(LoadTokenizer, JsonAndGgufTwinsHaveOneFingerprint) {
  for (const char* name : {"smollm", "llama3"}) {
    ASSERT_OK_AND_ASSIGN(const auto json, LoadTokenizer(Golden(name)));
    ASSERT_OK_AND_ASSIGN(const auto gguf,
                         LoadTokenizer(Golden(absl::StrCat(name, ".gguf"))));
    EXPECT_EQ(json->fingerprint(), gguf->fingerprint());
    EXPECT_EQ(json->fingerprint().size(), 32);
    EXPECT_EQ(json->vocab_size(), gguf->vocab_size());
    EXPECT_EQ(json->bos_id(), gguf->bos_id());
    EXPECT_EQ(json->eos_id(), gguf->eos_id());
    for (int32_t id = 0; id < json->vocab_size(); ++id) {
      ASSERT_EQ(json->TokenOf(id), gguf->TokenOf(id)) << id;
      ASSERT_EQ(json->IsSpecial(id), gguf->IsSpecial(id)) << id;
    }
  }
  ASSERT_OK_AND_ASSIGN(const auto one, LoadTokenizer(Golden("smollm")));
  ASSERT_OK_AND_ASSIGN(const auto other, LoadTokenizer(Golden("gpt2")));
  EXPECT_NE(one->fingerprint(), other->fingerprint());
}

TEST(LoadTokenizer, KnowsItsTokens) {
  ASSERT_OK_AND_ASSIGN(const auto tokenizer,
                       LoadTokenizer(Golden("smollm.gguf")));
  EXPECT_EQ(tokenizer->vocab_size(), 1000);
  EXPECT_EQ(tokenizer->TokenOf(1), "<|im_start|>");
  EXPECT_EQ(tokenizer->IdOf("<|im_end|>"), 2);
  EXPECT_EQ(tokenizer->bos_id(), 1);
  EXPECT_EQ(tokenizer->eos_id(), 2);
  EXPECT_TRUE(tokenizer->IsSpecial(2));
  const auto the = tokenizer->IdOf("Ġthe");
  ASSERT_TRUE(the.has_value());
  EXPECT_EQ(tokenizer->BytesOf(*the), " the");
  EXPECT_FALSE(tokenizer->IsSpecial(*the));
  EXPECT_EQ(tokenizer->IdOf("no such token"), std::nullopt);
  EXPECT_EQ(tokenizer->TokenOf(-1), "");
  EXPECT_EQ(tokenizer->TokenOf(1000), "");
  EXPECT_FALSE(tokenizer->IsSpecial(1000));
}

TEST_F(LoadTokenizerTest, WorksWithoutConfig) {
  ASSERT_OK_AND_ASSIGN(const auto tokenizer, LoadTokenizer(folder_.path()));
  EXPECT_EQ(tokenizer->bos_id(), -1);
  EXPECT_EQ(tokenizer->eos_id(), -1);
}

TEST_F(LoadTokenizerTest, TakesIdsFromModelConfig) {
  Write("config.json", R"({"bos_token_id": 1, "eos_token_id": [2, 0]})");
  ASSERT_OK_AND_ASSIGN(const auto tokenizer, LoadTokenizer(folder_.path()));
  EXPECT_EQ(tokenizer->bos_id(), 1);
  EXPECT_EQ(tokenizer->eos_id(), 2);
}

TEST_F(LoadTokenizerTest, TokenizerConfigComesFirst) {
  Write("config.json", R"({"bos_token_id": 1, "eos_token_id": 2})");
  Write("tokenizer_config.json",
        R"({"eos_token": {"content": "<|endoftext|>"}, "bos_token": null})");
  ASSERT_OK_AND_ASSIGN(const auto tokenizer, LoadTokenizer(folder_.path()));
  EXPECT_EQ(tokenizer->bos_id(), 1);
  EXPECT_EQ(tokenizer->eos_id(), 0);
}

TEST_F(LoadTokenizerTest, ConfigCanAddBosAndEos) {
  Write("tokenizer_config.json",
        R"({"bos_token": "<|im_start|>", "eos_token": "<|im_end|>",
            "add_bos_token": true, "add_eos_token": true})");
  ASSERT_OK_AND_ASSIGN(const auto tokenizer, LoadTokenizer(folder_.path()));
  ASSERT_OK_AND_ASSIGN(const auto ids, tokenizer->Encode(""));
  EXPECT_THAT(ids, ::testing::ElementsAre(1, 2));
}

TEST_F(LoadTokenizerTest, ConfigCanDropBos) {
  ASSERT_OK_AND_ASSIGN(
      json_, FileSystem::Posix()->ReadFile(Golden("llama3/tokenizer.json")));
  Write("tokenizer.json", json_);
  Write("tokenizer_config.json", R"({"add_bos_token": false})");
  ASSERT_OK_AND_ASSIGN(const auto tokenizer, LoadTokenizer(folder_.path()));
  ASSERT_OK_AND_ASSIGN(const auto ids, tokenizer->Encode(""));
  EXPECT_TRUE(ids.empty());
}

TEST_F(LoadTokenizerTest, RefusesBadConfigs) {
  Write("tokenizer_config.json", R"({"eos_token": "<nope>"})");
  EXPECT_THAT(LoadTokenizer(folder_.path()),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       AllOf(HasSubstr("tokenizer_config.json: eos_token"),
                             HasSubstr("<nope>"))));
  Write("tokenizer_config.json", "{\n\"eos_token\": ");
  EXPECT_THAT(
      LoadTokenizer(folder_.path()),
      StatusIs(absl::StatusCode::kDataLoss,
               AllOf(HasSubstr("tokenizer_config.json"), HasSubstr("line 2"))));
  Write("tokenizer_config.json", "{}");
  Write("config.json", R"({"eos_token_id": 5000})");
  EXPECT_THAT(LoadTokenizer(folder_.path()),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       AllOf(HasSubstr("EOS id 5000"), HasSubstr("1000"))));
  Write("config.json", R"({"eos_token_id": "x"})");
  EXPECT_THAT(LoadTokenizer(folder_.path()),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("config.json: eos_token_id")));
}

TEST_F(LoadTokenizerTest, NamesWhatIsMissing) {
  EXPECT_THAT(LoadTokenizer(folder_.File("nothing.json")),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("nothing.json")));
  ASSERT_OK(FileSystem::Posix()->Remove(folder_.File("tokenizer.json")));
  EXPECT_THAT(LoadTokenizer(folder_.path()),
              StatusIs(absl::StatusCode::kNotFound,
                       HasSubstr("has no tokenizer.json")));
}

TEST_F(LoadTokenizerTest, RefusesTruncatedFiles) {
  for (const size_t bytes : {size_t{0}, size_t{1}, json_.size() / 2}) {
    Write("tokenizer.json", json_.substr(0, bytes));
    EXPECT_THAT(LoadTokenizer(folder_.path()),
                StatusIs(absl::StatusCode::kDataLoss,
                         HasSubstr("tokenizer.json: not valid JSON")));
  }
  ASSERT_OK_AND_ASSIGN(const std::string gguf,
                       FileSystem::Posix()->ReadFile(Golden("smollm.gguf")));
  Write("t.gguf", gguf.substr(0, gguf.size() / 2));
  EXPECT_THAT(LoadTokenizer(folder_.File("t.gguf")),
              StatusIs(absl::StatusCode::kDataLoss, HasSubstr("t.gguf")));
}

TEST_F(LoadTokenizerTest, NamesUnsupportedGgufKinds) {
  ASSERT_OK_AND_ASSIGN(std::string gguf,
                       FileSystem::Posix()->ReadFile(Golden("smollm.gguf")));
  const size_t pre = gguf.find("smollm");
  ASSERT_NE(pre, std::string::npos);
  gguf.replace(pre, 6, "qwen99");
  Write("t.gguf", gguf);
  EXPECT_THAT(LoadTokenizer(folder_.File("t.gguf")),
              StatusIs(absl::StatusCode::kUnimplemented,
                       AllOf(HasSubstr("t.gguf: tokenizer.ggml.pre"),
                             HasSubstr("\"qwen99\""), HasSubstr("smollm"))));
  const size_t model = gguf.find("gpt2");
  ASSERT_NE(model, std::string::npos);
  gguf.replace(model, 4, "bert");
  Write("t.gguf", gguf);
  EXPECT_THAT(LoadTokenizer(folder_.File("t.gguf")),
              StatusIs(absl::StatusCode::kUnimplemented,
                       AllOf(HasSubstr("tokenizer.ggml.model"),
                             HasSubstr("\"bert\""))));
}

}  // namespace
}  // namespace caracal
