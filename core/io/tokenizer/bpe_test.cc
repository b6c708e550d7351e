#include "core/io/tokenizer/bpe.h"

#include <algorithm>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "core/base/status_matchers.h"
#include "core/io/tokenizer/byte_alphabet.h"

namespace caracal {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using Ids = std::vector<int32_t>;

// Letters a to d with ids 0 to 3, then one token per merge, all over the byte
// alphabet.
TokenizerSpec Spec(std::vector<std::pair<std::string, std::string>> merges) {
  TokenizerSpec spec;
  spec.vocab = {"a", "b", "c", "d"};
  for (const auto& [left, right] : merges) spec.vocab.push_back(left + right);
  spec.merges = std::move(merges);
  return spec;
}

Ids Encode(const TokenizerSpec& spec, absl::string_view word) {
  auto model = BpeModel::Create(spec);
  CARACAL_CHECK(model.ok()) << model.status().ToString();
  BpeScratch scratch;
  Ids ids;
  model->Encode(word, &scratch, &ids);
  Ids again;
  model->Encode(word, &scratch, &again);  // now from the cache
  EXPECT_EQ(ids, again);
  return ids;
}

TEST(Bpe, LowestRankThenLeftmost) {
  const TokenizerSpec spec =
      Spec({{"b", "c"}, {"a", "b"}, {"a", "a"}, {"aa", "aa"}});
  EXPECT_THAT(Encode(spec, "abc"), ElementsAre(0, 4));
  EXPECT_THAT(Encode(spec, "abab"), ElementsAre(5, 5));
  EXPECT_THAT(Encode(spec, "aaa"), ElementsAre(6, 0));
  EXPECT_THAT(Encode(spec, "aaaaa"), ElementsAre(7, 0));
  EXPECT_THAT(Encode(spec, ""), ElementsAre());
}

TEST(Bpe, BytesWithoutATokenAreDropped) {
  TokenizerSpec spec = Spec({{"a", "b"}});
  EXPECT_THAT(Encode(spec, "a?b"), ElementsAre(4));  // as Hugging Face does
  spec.unknown_id = 3;
  EXPECT_THAT(Encode(spec, "a??b"), ElementsAre(0, 3, 3, 1));
  spec.fuse_unknown = true;
  EXPECT_THAT(Encode(spec, "a??b?"), ElementsAre(0, 3, 1, 3));
}

TEST(Bpe, IgnoreMergesTakesWholeWords) {
  TokenizerSpec spec = Spec({{"a", "b"}});
  spec.vocab.push_back("abc");
  EXPECT_THAT(Encode(spec, "abc"), ElementsAre(4, 2));
  spec.ignore_merges = true;
  EXPECT_THAT(Encode(spec, "abc"), ElementsAre(5));
  EXPECT_THAT(Encode(spec, "abcd"), ElementsAre(4, 2, 3));
}

TEST(Bpe, RefusesUnknownTokensInMerges) {
  TokenizerSpec spec = Spec({{"a", "b"}});
  spec.merges.emplace_back("b", "c");
  EXPECT_THAT(BpeModel::Create(spec),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       AllOf(HasSubstr("merge 1"), HasSubstr("\"bc\""))));
  spec.merges.back() = {"x", "a"};
  EXPECT_THAT(BpeModel::Create(spec),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("no token \"x\"")));
  spec = Spec({});
  spec.vocab.push_back("a");
  EXPECT_THAT(BpeModel::Create(spec),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("twice: ids 0 and 4")));
}

// Merging by the definition: all pairs, again and again.
Ids EncodeSlowly(const TokenizerSpec& spec, const std::string& word) {
  std::vector<std::string> parts;
  for (const char c : word) parts.push_back(std::string(1, c));
  for (bool merged = true; merged;) {
    merged = false;
    for (const auto& [left, right] : spec.merges) {
      for (size_t i = 0; i + 1 < parts.size() && !merged; ++i) {
        if (parts[i] != left || parts[i + 1] != right) continue;
        parts[i] += right;
        parts.erase(parts.begin() + i + 1);
        merged = true;
      }
      if (merged) break;
    }
  }
  Ids ids;
  for (const std::string& part : parts) {
    for (size_t id = 0; id < spec.vocab.size(); ++id) {
      if (spec.vocab[id] == part) ids.push_back(static_cast<int32_t>(id));
    }
  }
  return ids;
}

TEST(Bpe, AgreesWithTheDefinition) {
  std::mt19937 random(1);
  for (int round = 0; round < 30; ++round) {
    TokenizerSpec spec = Spec({});
    for (int merge = 0; merge < 12; ++merge) {
      const std::string left = spec.vocab[random() % spec.vocab.size()];
      const std::string right = spec.vocab[random() % spec.vocab.size()];
      const std::string both = left + right;
      if (std::count(spec.vocab.begin(), spec.vocab.end(), both) > 0) continue;
      spec.merges.emplace_back(left, right);
      spec.vocab.push_back(both);
    }
    for (int i = 0; i < 20; ++i) {
      std::string word;
      const size_t length = random() % 50;
      while (word.size() < length)
        word += static_cast<char>('a' + random() % 4);
      ASSERT_EQ(Encode(spec, word), EncodeSlowly(spec, word)) << word;
    }
  }
}

TEST(Bpe, LongWordsTakeNoQuadraticTime) {
  // A million bytes: quadratic merging would not end within any time limit.
  const TokenizerSpec spec = Spec({{"a", "b"}, {"ab", "ab"}});
  std::string word;
  while (word.size() < 1000000) word += "ab";
  EXPECT_EQ(Encode(spec, word), Ids(250000, 5));
}

TEST(WordCache, ForgetsButNeverMixesUp) {
  WordCache cache;
  const auto ids_of = [](int i) { return Ids{i, -i}; };
  const int count = 3 * WordCache::kSlots;
  for (int i = 0; i < count; ++i) {
    cache.Insert(std::to_string(i), ids_of(i));
  }
  int found = 0;
  for (int i = 0; i < count; ++i) {
    Ids ids;
    if (!cache.Lookup(std::to_string(i), &ids)) continue;
    ++found;
    ASSERT_EQ(ids, ids_of(i));
  }
  EXPECT_GT(found, static_cast<int>(WordCache::kSlots) / 2);
  Ids ids;
  const std::string long_word(WordCache::kMaxWordBytes + 1, 'x');
  cache.Insert(long_word, Ids{1});
  EXPECT_FALSE(cache.Lookup(long_word, &ids));
  cache.Insert("y", Ids(WordCache::kMaxIds + 1, 0));
  EXPECT_FALSE(cache.Lookup("y", &ids));
}

}  // namespace
}  // namespace caracal
