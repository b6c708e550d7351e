// Ids and decoded texts against Hugging Face `tokenizers`
// (tests/golden/make_tokenizer_golden.py).
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "core/base/file_system.h"
#include "core/base/status_matchers.h"
#include "core/io/tokenizer/load_tokenizer.h"

namespace caracal {
namespace {

using Ids = std::vector<int32_t>;

constexpr char kFolder[] = "tests/golden/tokenizer/";

const nlohmann::json& Golden() {
  static const auto* const golden = [] {
    auto text =
        FileSystem::Posix()->ReadFile(absl::StrCat(kFolder, "expected.json"));
    CARACAL_CHECK(text.ok()) << text.status().ToString();
    return new nlohmann::json(nlohmann::json::parse(*text));
  }();
  return *golden;
}

// `by_number`'s entry for text `i`, where it has one.
template <typename T>
T EntryOr(const nlohmann::json& by_number, size_t i, T if_missing) {
  const auto it = by_number.find(std::to_string(i));
  return it == by_number.end() ? if_missing : it->get<T>();
}

struct Case {
  const char* name;  // in expected.json
  const char* path;
};

class GoldenTest : public ::testing::TestWithParam<Case> {
 protected:
  void SetUp() override {
    auto tokenizer = LoadTokenizer(absl::StrCat(kFolder, GetParam().path));
    ASSERT_OK(tokenizer);
    tokenizer_ = *std::move(tokenizer);
    golden_ = &Golden()["tokenizers"][GetParam().name];
    texts_ = Golden()["texts"].get<std::vector<std::string>>();
    ASSERT_GE(texts_.size(), 200);
  }

  Ids Plain(size_t i) const {
    Ids ids = (*golden_)["ids"][i].get<Ids>();
    ids.erase(ids.begin(), ids.begin() + (*golden_)["prefix"].size());
    ids.resize(ids.size() - (*golden_)["suffix"].size());
    return ids;
  }

  std::unique_ptr<Tokenizer> tokenizer_;
  const nlohmann::json* golden_ = nullptr;
  std::vector<std::string> texts_;
};

TEST_P(GoldenTest, EncodesWithSpecialTokens) {
  for (size_t i = 0; i < texts_.size(); ++i) {
    ASSERT_OK_AND_ASSIGN(const Ids ids, tokenizer_->Encode(texts_[i]));
    EXPECT_EQ(ids, (*golden_)["ids"][i].get<Ids>())
        << i << ": " << nlohmann::json(texts_[i]).dump();
  }
}

TEST_P(GoldenTest, EncodesWithoutSpecialTokens) {
  for (size_t i = 0; i < texts_.size(); ++i) {
    ASSERT_OK_AND_ASSIGN(const Ids ids,
                         tokenizer_->Encode(texts_[i], {.add_special = false}));
    EXPECT_EQ(ids, Plain(i)) << i << ": " << nlohmann::json(texts_[i]).dump();
  }
}

TEST_P(GoldenTest, LeavesSpecialTokensInTextUnparsed) {
  ASSERT_FALSE((*golden_)["unparsed"].empty());
  for (size_t i = 0; i < texts_.size(); ++i) {
    ASSERT_OK_AND_ASSIGN(
        const Ids ids, tokenizer_->Encode(texts_[i], {.add_special = false,
                                                      .parse_special = false}));
    EXPECT_EQ(ids, EntryOr((*golden_)["unparsed"], i, Plain(i)))
        << i << ": " << nlohmann::json(texts_[i]).dump();
  }
}

TEST_P(GoldenTest, DecodesWhatItEncoded) {
  for (size_t i = 0; i < texts_.size(); ++i) {
    EXPECT_EQ(tokenizer_->Decode(Plain(i)),
              EntryOr((*golden_)["decoded"], i, texts_[i]))
        << i;
  }
}

TEST_P(GoldenTest, DecodesRandomIds) {
  ASSERT_FALSE((*golden_)["random"].empty());
  for (const nlohmann::json& entry : (*golden_)["random"]) {
    const Ids ids = entry["ids"].get<Ids>();
    EXPECT_EQ(tokenizer_->Decode(ids), entry["text"].get<std::string>());
    EXPECT_EQ(tokenizer_->Decode(ids, /*skip_special=*/true),
              entry["skipped"].get<std::string>());
  }
}

INSTANTIATE_TEST_SUITE_P(
    Tokenizers, GoldenTest,
    ::testing::Values(Case{"smollm", "smollm"},
                      Case{"smollm", "smollm/tokenizer.json"},
                      Case{"smollm", "smollm.gguf"}, Case{"llama3", "llama3"},
                      Case{"llama3", "llama3.gguf"}, Case{"gpt2", "gpt2"},
                      Case{"options", "options"}));

}  // namespace
}  // namespace caracal
