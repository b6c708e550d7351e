// Text from files, made safe to keep and to print.
#ifndef CARACAL_CORE_IO_UTF8_H_
#define CARACAL_CORE_IO_UTF8_H_

#include <string>

#include "absl/strings/string_view.h"

namespace caracal {

// Whether `text` is well-formed UTF-8 (no overlong forms, no surrogates).
bool IsValidUtf8(absl::string_view text);

// `text` as it may stand in an error message: control characters and bytes
// outside ASCII escaped, at most `limit` bytes of it, in double quotes.
std::string Quoted(absl::string_view text, size_t limit = 80);

}  // namespace caracal

#endif  // CARACAL_CORE_IO_UTF8_H_
