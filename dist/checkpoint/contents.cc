#include "dist/checkpoint/contents.h"

#include "absl/strings/ascii.h"
#include "absl/strings/str_split.h"

namespace caracal {

bool IsCheckpointName(absl::string_view name, int max_parts) {
  int parts = 0;
  for (const absl::string_view part : absl::StrSplit(name, '/')) {
    if (++parts > max_parts || part.empty() || part == "." || part == "..") {
      return false;
    }
    for (const char c : part) {
      if (!absl::ascii_isalnum(c) && c != '_' && c != '-' && c != '.') {
        return false;
      }
    }
  }
  return true;
}

}  // namespace caracal
