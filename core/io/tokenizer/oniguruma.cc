// The dialect part of regex.h: Oniguruma's syntax rewritten for PCRE2.
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "core/base/status.h"
#include "core/io/tokenizer/regex.h"

namespace caracal {
namespace {

// UTS #18's word characters, as Oniguruma defines \w.
constexpr char kWordSet[] = "\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}";

absl::Status Unsupported(absl::string_view pattern, absl::string_view what) {
  return absl::InvalidArgumentError(
      absl::StrCat("pattern \"", pattern, "\": ", what, " is not supported"));
}

// Appends the escape `\c`.
absl::Status AppendEscape(absl::string_view pattern, char c, bool in_class,
                          std::string* out) {
  switch (c) {
    case 's':
      out->append("\\p{White_Space}");
      return absl::OkStatus();
    case 'S':
      out->append("\\P{White_Space}");
      return absl::OkStatus();
    case 'w':
      absl::StrAppend(out, in_class ? "" : "[", kWordSet, in_class ? "" : "]");
      return absl::OkStatus();
    case 'W':
      if (in_class) return Unsupported(pattern, "\\W inside of a class");
      absl::StrAppend(out, "[^", kWordSet, "]");
      return absl::OkStatus();
    case 'h':
    case 'H':
      // Hexadecimal digits to Oniguruma, horizontal space to PCRE2.
      return Unsupported(pattern, absl::StrCat("\\", std::string(1, c)));
    default:
      out->push_back('\\');
      out->push_back(c);
      return absl::OkStatus();
  }
}

}  // namespace

absl::StatusOr<std::string> OnigurumaToPcre2(absl::string_view pattern) {
  std::string out;
  bool in_class = false;
  size_t class_start = 0;  // where a ']' would still be a literal
  for (size_t i = 0; i < pattern.size(); ++i) {
    const char c = pattern[i];
    if (c == '\\' && i + 1 < pattern.size()) {
      RETURN_IF_ERROR(AppendEscape(pattern, pattern[++i], in_class, &out));
      continue;
    }
    if (in_class) {
      if (c == '[') {
        const size_t end = pattern.find(":]", i);
        if (pattern.substr(i, 2) != "[:" || end == absl::string_view::npos) {
          return Unsupported(pattern, "a class inside of a class");
        }
        absl::StrAppend(&out, pattern.substr(i, end + 2 - i));
        i = end + 1;
        continue;
      }
      if (pattern.substr(i, 2) == "&&") {
        return Unsupported(pattern, "the intersection && of classes");
      }
      if (c == ']' && i > class_start) in_class = false;
    } else if (c == '[') {
      in_class = true;
      class_start = i + 1;
      if (pattern.substr(class_start, 1) == "^") ++class_start;
    } else if (pattern.substr(i, 2) == "{,") {
      out.append("{0");
      continue;
    }
    out.push_back(c);
  }
  return out;
}

std::string EscapeRegex(absl::string_view text) {
  std::string out;
  for (const char c : text) {
    if (absl::string_view("\\^$.[]|()?*+{}-#&").find(c) !=
        absl::string_view::npos) {
      out.push_back('\\');
    }
    out.push_back(c);
  }
  return out;
}

}  // namespace caracal
