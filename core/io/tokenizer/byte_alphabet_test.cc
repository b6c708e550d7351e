#include "core/io/tokenizer/byte_alphabet.h"

#include <gtest/gtest.h>

#include <set>

namespace caracal {
namespace {

TEST(ByteAlphabet, IsOneToOne) {
  std::set<std::string> chars;
  std::string all;
  for (int byte = 0; byte < 256; ++byte) {
    const std::string c = ByteAlphabetChar(static_cast<uint8_t>(byte));
    chars.insert(c);
    all += c;
  }
  EXPECT_EQ(chars.size(), 256);
  const auto bytes = BytesOfAlphabet(all);
  ASSERT_TRUE(bytes.has_value());
  ASSERT_EQ(bytes->size(), 256);
  for (int i = 0; i < 256; ++i) {
    EXPECT_EQ(static_cast<uint8_t>((*bytes)[i]), i);
  }
}

TEST(ByteAlphabet, KnownCharacters) {
  EXPECT_EQ(ByteAlphabetChar(' '), "Ġ");
  EXPECT_EQ(ByteAlphabetChar('\n'), "Ċ");
  EXPECT_EQ(ByteAlphabetChar('A'), "A");
  EXPECT_EQ(ByteAlphabetChar(0xAD), "Ń");
  EXPECT_EQ(BytesOfAlphabet("Ġthe"), " the");
  EXPECT_EQ(BytesOfAlphabet(""), "");
}

TEST(ByteAlphabet, RefusesOtherCharacters) {
  EXPECT_EQ(BytesOfAlphabet("a b"), std::nullopt);
  EXPECT_EQ(BytesOfAlphabet("▁the"), std::nullopt);
  EXPECT_EQ(BytesOfAlphabet("\xFF"), std::nullopt);
  EXPECT_EQ(BytesOfAlphabet("\u0144"), std::nullopt);  // one past the end
}

}  // namespace
}  // namespace caracal
