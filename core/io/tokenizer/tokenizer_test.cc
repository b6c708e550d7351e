#include "core/io/tokenizer/tokenizer.h"

#include <string>
#include <thread>
#include <vector>

#include "core/base/status_matchers.h"
#include "core/io/tokenizer/byte_alphabet.h"

namespace caracal {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using Ids = std::vector<int32_t>;

// One token per byte (its value), " a" is 256, "<s>" 257.
TokenizerSpec Spec() {
  TokenizerSpec spec;
  spec.source = "test.json";
  for (int byte = 0; byte < 256; ++byte) {
    spec.vocab.push_back(ByteAlphabetChar(static_cast<uint8_t>(byte)));
  }
  spec.vocab.push_back("Ġa");
  spec.merges = {{"Ġ", "a"}};
  spec.added.push_back({.id = 257, .content = "<s>", .special = true});
  spec.pre_tokenizer = {{PreTokenizerStep::Kind::kSplit, kGpt2Pattern}};
  return spec;
}

std::unique_ptr<Tokenizer> Create(TokenizerSpec spec) {
  auto tokenizer = Tokenizer::Create(std::move(spec));
  CARACAL_CHECK(tokenizer.ok()) << tokenizer.status().ToString();
  return *std::move(tokenizer);
}

TEST(Tokenizer, InvalidBytesAreKept) {
  const auto tokenizer = Create(Spec());
  std::string all;
  for (int byte = 255; byte >= 0; --byte) all += static_cast<char>(byte);
  for (const std::string& text :
       {all, std::string("x\xFF<s>\xC3 a\xE2\x82 a"), std::string("\xFF")}) {
    ASSERT_OK_AND_ASSIGN(const Ids ids, tokenizer->Encode(text));
    EXPECT_EQ(tokenizer->DecodeBytes(ids), text);
  }
  ASSERT_OK_AND_ASSIGN(const Ids ids, tokenizer->Encode("x\xFF<s>\xC3 a"));
  EXPECT_THAT(ids, ElementsAre('x', 0xFF, 257, 0xC3, 256));
  EXPECT_EQ(tokenizer->Decode(ids), "x\uFFFD<s>\uFFFD a");
  EXPECT_EQ(tokenizer->Decode(ids, /*skip_special=*/true), "x\uFFFD\uFFFD a");
}

TEST(Tokenizer, AppendsToTheCallersIds) {
  const auto tokenizer = Create(Spec());
  Ids ids = {7};
  ASSERT_OK(tokenizer->Encode("b a", {}, &ids));
  EXPECT_THAT(ids, ElementsAre(7, 'b', 256));
}

TEST(Tokenizer, PrefixAndSuffix) {
  TokenizerSpec spec = Spec();
  spec.prefix_ids = {257, 1};
  spec.suffix_ids = {2};
  const auto tokenizer = Create(spec);
  ASSERT_OK_AND_ASSIGN(const Ids with, tokenizer->Encode("b"));
  EXPECT_THAT(with, ElementsAre(257, 1, 'b', 2));
  ASSERT_OK_AND_ASSIGN(const Ids without,
                       tokenizer->Encode("b", {.add_special = false}));
  EXPECT_THAT(without, ElementsAre('b'));
}

TEST(Tokenizer, IdsOutOfRangeDecodeToNothing) {
  const auto tokenizer = Create(Spec());
  EXPECT_EQ(tokenizer->Decode({'a', -1, 258, 1 << 30, 'b'}), "ab");
}

TEST(Tokenizer, BadSpecsAreRefused) {
  const auto refused = [](const TokenizerSpec& spec, const char* message) {
    EXPECT_THAT(Tokenizer::Create(spec),
                StatusIs(absl::StatusCode::kInvalidArgument,
                         ::testing::AllOf(HasSubstr("test.json: "),
                                          HasSubstr(message))));
  };
  TokenizerSpec spec = Spec();
  spec.eos_id = 258;
  refused(spec, "EOS id 258");
  spec = Spec();
  spec.prefix_ids = {-5};
  refused(spec, "post-processor id -5");
  spec = Spec();
  spec.added[0].id = 3;
  refused(spec, "has the id 3 of the token");
  spec = Spec();
  spec.added.push_back({.id = 258, .content = "Ġa"});
  refused(spec, "has two ids: 256 and 258");
  spec = Spec();
  spec.added[0].id = -1;
  refused(spec, "negative id -1");
  spec = Spec();
  spec.pre_tokenizer[0].pattern = "(";
  refused(spec, "pre_tokenizer: pattern");
  spec = Spec();
  spec.merges.emplace_back("a", "b");
  refused(spec, "merge 1");
}

TEST(Tokenizer, HostilePatternIsAnErrorThatLeavesTheIds) {
  TokenizerSpec spec = Spec();
  spec.pre_tokenizer[0].pattern = "(a|aa|a)+[^a]";
  const auto tokenizer = Create(spec);
  Ids ids = {7};
  EXPECT_THAT(
      tokenizer->Encode("x" + std::string(5000, 'a'), {}, &ids),
      StatusIs(absl::StatusCode::kResourceExhausted, HasSubstr("test.json")));
  EXPECT_THAT(ids, ElementsAre(7));
}

TEST(Tokenizer, FingerprintFollowsTheIds) {
  const std::string base = Create(Spec())->fingerprint();
  EXPECT_EQ(Create(Spec())->fingerprint(), base);
  TokenizerSpec same = Spec();
  same.source = "other.json";
  same.bos_id = 257;
  same.prefix_ids = {257};
  EXPECT_EQ(Create(same)->fingerprint(), base);
  std::vector<TokenizerSpec> others(6, Spec());
  others[0].merges.clear();
  others[1].added[0].lstrip = true;
  others[2].pre_tokenizer.clear();
  others[3].vocab[256] = "Ġb";
  others[3].merges = {{"Ġ", "b"}};
  others[4].ignore_merges = true;
  others[5].normalizer = {{NormalizerStep::Kind::kPrepend, "", "x"}};
  for (const TokenizerSpec& other : others) {
    EXPECT_NE(Create(other)->fingerprint(), base);
  }
}

TEST(Tokenizer, ManyThreadsAtOnce) {
  const auto tokenizer = Create(Spec());
  std::vector<std::string> texts;
  std::vector<Ids> expected;
  for (int i = 0; i < 200; ++i) {
    texts.push_back(absl::StrCat("a a", i, " é <s> ", i * i));
    ASSERT_OK_AND_ASSIGN(Ids ids, tokenizer->Encode(texts.back()));
    expected.push_back(std::move(ids));
  }
  std::vector<int> wrong(4, 0);
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 200; ++i) {
        const int n = (i * 7 + t * 31) % 200;
        const auto ids = tokenizer->Encode(texts[n]);
        wrong[t] += !ids.ok() || *ids != expected[n];
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_THAT(wrong, ElementsAre(0, 0, 0, 0));
}

}  // namespace
}  // namespace caracal
