// The byte alphabet of GPT-2's vocabularies: each of the 256 bytes is written
// as one printable character, so that a token of any bytes is a word without
// spaces ("Ġthe" is the bytes of " the").
// Printable Latin-1 bytes stand for themselves; the other 68 are U+0100 on, in
// byte order.
#ifndef CARACAL_CORE_IO_TOKENIZER_BYTE_ALPHABET_H_
#define CARACAL_CORE_IO_TOKENIZER_BYTE_ALPHABET_H_

#include <cstdint>
#include <optional>
#include <string>

#include "absl/strings/string_view.h"

namespace caracal {

// The character that stands for a byte, in UTF-8.
std::string ByteAlphabetChar(uint8_t byte);

// The bytes a token stands for; nullopt when some character of it is not of
// the alphabet or not valid UTF-8 (an added token such as "<a b>").
std::optional<std::string> BytesOfAlphabet(absl::string_view token);

}  // namespace caracal

#endif  // CARACAL_CORE_IO_TOKENIZER_BYTE_ALPHABET_H_
