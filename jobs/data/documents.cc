// The format of a file by its name.
#include "jobs/data/documents.h"

#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/strip.h"
#include "core/base/status.h"

namespace caracal {

absl::StatusOr<InputFormat> FormatOfName(const std::string& path) {
  constexpr std::pair<const char*, InputFormat> kNames[] = {
      {".jsonl", InputFormat::kJsonLines}, {".ndjson", InputFormat::kJsonLines},
      {".txt", InputFormat::kText},        {".text", InputFormat::kText},
      {".md", InputFormat::kText},         {".raw", InputFormat::kText},
  };
  absl::string_view name = path;
  if (!absl::ConsumeSuffix(&name, ".gz")) absl::ConsumeSuffix(&name, ".zst");
  for (const auto& [suffix, format] : kNames) {
    if (absl::EndsWithIgnoreCase(name, suffix)) return format;
  }
  return absl::InvalidArgumentError(absl::StrCat(
      path,
      ": can't tell the format from the name; known: .jsonl .ndjson (one "
      "JSON object a line), .txt .text .md .raw (plain text), each also .gz "
      "and .zst; or say it with --format"));
}

}  // namespace caracal
