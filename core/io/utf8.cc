#include "core/io/utf8.h"

#include <cstddef>
#include <cstdint>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"

namespace caracal {

bool IsValidUtf8(absl::string_view text) {
  size_t i = 0;
  while (i < text.size()) {
    const uint8_t first = text[i];
    if (first < 0x80) {
      ++i;
      continue;
    }
    const int extra = first >= 0xf0 ? 3 : first >= 0xe0 ? 2 : 1;
    if (first < 0xc2 || first > 0xf4 || text.size() - i <= extra) return false;
    uint32_t code = first & (0x3f >> extra);
    for (int k = 1; k <= extra; ++k) {
      const uint8_t byte = text[i + k];
      if ((byte & 0xc0) != 0x80) return false;
      code = code << 6 | (byte & 0x3f);
    }
    if (extra == 2 && (code < 0x800 || (code >= 0xd800 && code < 0xe000))) {
      return false;
    }
    if (extra == 3 && (code < 0x10000 || code > 0x10ffff)) return false;
    i += extra + 1;
  }
  return true;
}

std::string Quoted(absl::string_view text, size_t limit) {
  const bool cut = text.size() > limit;
  return absl::StrCat("\"", absl::CHexEscape(text.substr(0, limit)),
                      cut ? "...\"" : "\"");
}

}  // namespace caracal
