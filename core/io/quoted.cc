#include "core/io/quoted.h"

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"

namespace caracal {

std::string Quoted(absl::string_view text, size_t limit) {
  const bool cut = text.size() > limit;
  return absl::StrCat("\"", absl::CHexEscape(text.substr(0, limit)),
                      cut ? "...\"" : "\"");
}

}  // namespace caracal
