// UTF-8 as the tokenizer needs it: validity, single characters, and the
// replacement of invalid bytes by U+FFFD (one per maximal invalid part, which
// is what Python's errors='replace' and Rust's from_utf8_lossy do).
// Pure functions, thread-safe.
#ifndef CARACAL_CORE_IO_TOKENIZER_UNICODE_H_
#define CARACAL_CORE_IO_TOKENIZER_UNICODE_H_

#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"

namespace caracal {

struct Utf8Char {
  uint32_t code_point;  // U+FFFD when not valid
  size_t length;        // bytes taken, >= 1; of the invalid part if not valid
  bool valid;
};

// The character at the start of `text`, which must not be empty. Overlong
// forms, surrogates and code points above U+10FFFF are invalid.
Utf8Char DecodeUtf8Char(absl::string_view text);

// Bytes at the start of `text` that are valid UTF-8.
size_t ValidUtf8Prefix(absl::string_view text);

// Bytes at the end of `text` that begin a character but do not finish it:
// 0 to 3. More bytes could make them valid.
size_t IncompleteUtf8Suffix(absl::string_view text);

void AppendUtf8(uint32_t code_point, std::string* out);

// `text` with every maximal invalid part replaced by U+FFFD.
std::string ReplaceInvalidUtf8(absl::string_view text);

// The Unicode property White_Space.
bool IsWhiteSpace(uint32_t code_point);

}  // namespace caracal

#endif  // CARACAL_CORE_IO_TOKENIZER_UNICODE_H_
