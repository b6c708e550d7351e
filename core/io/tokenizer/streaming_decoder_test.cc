#include "core/io/tokenizer/streaming_decoder.h"

#include <random>
#include <string>
#include <vector>

#include "core/base/status_matchers.h"
#include "core/io/tokenizer/byte_alphabet.h"

namespace caracal {
namespace {

// One token per byte, "<s>" is 256.
class StreamingDecoderTest : public ::testing::Test {
 protected:
  void SetUp() override {
    TokenizerSpec spec;
    for (int byte = 0; byte < 256; ++byte) {
      spec.vocab.push_back(ByteAlphabetChar(static_cast<uint8_t>(byte)));
    }
    spec.added.push_back({.id = 256, .content = "<s>", .special = true});
    auto tokenizer = Tokenizer::Create(std::move(spec));
    ASSERT_OK(tokenizer);
    tokenizer_ = *std::move(tokenizer);
  }
  std::unique_ptr<Tokenizer> tokenizer_;
};

TEST_F(StreamingDecoderTest, GivesOutWholeCharacters) {
  StreamingDecoder decoder(tokenizer_.get());
  EXPECT_EQ(decoder.Push('a'), "a");
  EXPECT_EQ(decoder.Push(0xF0), "");
  EXPECT_EQ(decoder.Push(0x9F), "");
  EXPECT_EQ(decoder.Push(0x98), "");
  EXPECT_EQ(decoder.Push(0x80), "😀");
  EXPECT_EQ(decoder.Push(0xC3), "");
  EXPECT_EQ(decoder.Push(256), "\uFFFD<s>");
  EXPECT_EQ(decoder.Push(0xE2), "");
  EXPECT_EQ(decoder.Finish(), "\uFFFD");
  EXPECT_EQ(decoder.Finish(), "");
  EXPECT_EQ(decoder.Push(999), "");
}

TEST_F(StreamingDecoderTest, SkipsSpecialTokensEvenInsideOfCharacters) {
  StreamingDecoder decoder(tokenizer_.get(), /*skip_special=*/true);
  EXPECT_EQ(decoder.Push(0xC3), "");
  EXPECT_EQ(decoder.Push(256), "");
  EXPECT_EQ(decoder.Push(0xA9), "é");
}

TEST_F(StreamingDecoderTest, JoinsToWhatDecodeGives) {
  // Mostly bytes of long characters, so that all kinds of breaks occur.
  const std::vector<int32_t> pool = {'a',  0xC3, 0xA9, 0xE2, 0x82, 0xAC, 0xF0,
                                     0x9F, 0x98, 0x80, 0xED, 0xA0, 0xFF, 256};
  std::mt19937 random(5);
  for (int round = 0; round < 500; ++round) {
    std::vector<int32_t> ids;
    for (int i = 0; i < 30; ++i) ids.push_back(pool[random() % pool.size()]);
    StreamingDecoder decoder(tokenizer_.get());
    std::string joined;
    for (const int32_t id : ids) joined += decoder.Push(id);
    joined += decoder.Finish();
    ASSERT_EQ(joined, tokenizer_->Decode(ids));
  }
}

}  // namespace
}  // namespace caracal
