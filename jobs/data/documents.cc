// The format of a file by its name or its beginning.
#include "jobs/data/documents.h"

#include <cstring>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "core/base/status.h"

namespace caracal {

absl::StatusOr<InputFormat> FormatOfName(const std::string& path) {
  constexpr std::pair<const char*, InputFormat> kNames[] = {
      {".jsonl", InputFormat::kJsonLines}, {".ndjson", InputFormat::kJsonLines},
      {".txt", InputFormat::kText},        {".text", InputFormat::kText},
      {".md", InputFormat::kText},         {".raw", InputFormat::kText},
  };
  absl::string_view name = path;
  for (const char* suffix : {".gz", ".zst"}) {
    if (!absl::EndsWithIgnoreCase(name, suffix)) continue;
    name.remove_suffix(std::strlen(suffix));
    break;
  }
  for (const auto& [suffix, format] : kNames) {
    if (absl::EndsWithIgnoreCase(name, suffix)) return format;
  }
  // ".profile" is a name, too.
  if (BaseName(name).rfind('.') + 1 <= 1) return InputFormat::kByContent;
  return absl::InvalidArgumentError(absl::StrCat(
      path,
      ": can't tell the format from the name; known: .jsonl .ndjson (one "
      "JSON object a line), .txt .text .md .raw (plain text), each also .gz "
      "and .zst; or say it with --format"));
}

InputFormat FormatOfContent(absl::string_view start) {
  const absl::string_view text = absl::StripLeadingAsciiWhitespace(start);
  if (!absl::StartsWith(text, "{")) return InputFormat::kText;
  const absl::string_view inside =
      absl::StripLeadingAsciiWhitespace(text.substr(1));
  return absl::StartsWith(inside, "\"") || absl::StartsWith(inside, "}")
             ? InputFormat::kJsonLines
             : InputFormat::kText;
}

}  // namespace caracal
