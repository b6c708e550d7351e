// UTF-8, as far as names, messages and terminals need it.
#ifndef CARACAL_CORE_BASE_UTF8_H_
#define CARACAL_CORE_BASE_UTF8_H_

#include <cstddef>
#include <string>

#include "absl/strings/string_view.h"

namespace caracal {

// Decodes the code point that `text` (not empty) begins with, and sets `bytes`
// to its length, 1 to 4. A byte that begins no valid sequence (overlong forms
// and surrogates are none) gives U+FFFD, length 1 and false.
bool DecodeUtf8(absl::string_view text, char32_t* code_point, size_t* bytes);

bool IsValidUtf8(absl::string_view text);
// The text with U+FFFD for each byte that begins no valid sequence.
std::string AsValidUtf8(absl::string_view text);

// Columns of a terminal that a code point takes: 0 for combining marks, joiners
// and control characters, 2 for East Asian wide characters and emoji, else 1.
int TerminalColumns(char32_t code_point);
int TerminalColumns(absl::string_view text);

}  // namespace caracal

#endif  // CARACAL_CORE_BASE_UTF8_H_
