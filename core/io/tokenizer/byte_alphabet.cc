#include "core/io/tokenizer/byte_alphabet.h"

#include <array>

#include "core/io/tokenizer/unicode.h"

namespace caracal {
namespace {

// Highest code point of the alphabet plus one: U+0100 + 68.
constexpr uint32_t kAlphabetEnd = 0x144;

struct Tables {
  std::array<uint32_t, 256> char_of_byte;
  std::array<int, kAlphabetEnd> byte_of_char;  // -1: not of the alphabet
};

bool IsPrintableLatin1(int byte) {
  return (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte <= 0xAC) ||
         byte >= 0xAE;
}

const Tables& AlphabetTables() {
  static const Tables tables = [] {
    Tables t;
    t.byte_of_char.fill(-1);
    uint32_t next = 0x100;
    for (int byte = 0; byte < 256; ++byte) {
      const uint32_t c = IsPrintableLatin1(byte) ? byte : next++;
      t.char_of_byte[byte] = c;
      t.byte_of_char[c] = byte;
    }
    return t;
  }();
  return tables;
}

}  // namespace

std::string ByteAlphabetChar(uint8_t byte) {
  std::string out;
  AppendUtf8(AlphabetTables().char_of_byte[byte], &out);
  return out;
}

std::optional<std::string> BytesOfAlphabet(absl::string_view token) {
  const Tables& tables = AlphabetTables();
  std::string bytes;
  while (!token.empty()) {
    const Utf8Char c = DecodeUtf8Char(token);
    if (!c.valid || c.code_point >= kAlphabetEnd) return std::nullopt;
    const int byte = tables.byte_of_char[c.code_point];
    if (byte < 0) return std::nullopt;
    bytes.push_back(static_cast<char>(byte));
    token.remove_prefix(c.length);
  }
  return bytes;
}

}  // namespace caracal
