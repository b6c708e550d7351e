// Character by character, as core/base/utf8.h decodes them.
#include "eval/report/text.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "core/base/utf8.h"

namespace caracal {
namespace {

constexpr absl::string_view kReplacement = "\xEF\xBF\xBD";  // U+FFFD
constexpr absl::string_view kMinus = "\xE2\x88\x92";        // U+2212

bool MayBeShown(char32_t c) {
  if (c < 0x20) return c == U'\n' || c == U'\t';
  if (c >= 0x7F && c < 0xA0) return false;  // delete and the C1 controls
  return c != 0xFFFE && c != 0xFFFF;        // noncharacters, not XML
}

// Inside a character, after its first byte.
bool IsContinuation(char c) { return (c & 0xC0) == 0x80; }

}  // namespace

std::string Printable(absl::string_view text) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    char32_t character;
    size_t bytes;
    const bool valid = DecodeUtf8(text, &character, &bytes);
    if (valid && MayBeShown(character)) {
      out.append(text.data(), bytes);
    } else if (!absl::StartsWith(text, "\r\n")) {
      out.append(kReplacement.data(), kReplacement.size());
    }
    text.remove_prefix(bytes);
  }
  return out;
}

std::string PrintablePieces::Add(absl::string_view piece) {
  const std::string text = absl::StrCat(held_, piece);
  size_t whole = text.size();
  if (absl::EndsWith(text, "\r")) {
    --whole;
  } else {
    constexpr size_t kLongest = 4;  // bytes of a character
    size_t begin = text.size();
    while (begin > 0 && text.size() - begin < kLongest) {
      const auto byte = static_cast<uint8_t>(text[--begin]);
      if ((byte & 0xC0) == 0x80) continue;
      const size_t bytes = byte >= 0xF0 ? 4 : byte >= 0xE0 ? 3 : 2;
      if (byte >= 0xC2 && begin + bytes > text.size()) whole = begin;
      break;
    }
  }
  held_ = text.substr(whole);
  return Printable(absl::string_view(text).substr(0, whole));
}

std::string PrintablePieces::Finish() {
  return Printable(std::exchange(held_, ""));
}

std::string EscapeHtml(absl::string_view text) {
  std::string out;
  for (char c : Printable(text)) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      case '\'':
        out += "&#39;";
        break;
      default:
        out += c;
    }
  }
  return out;
}

std::string TypographicMinus(absl::string_view text) {
  const auto is_digit = [](char c) { return c >= '0' && c <= '9'; };
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    const bool starts = i == 0 || absl::string_view(" \n([").find(
                                      text[i - 1]) != absl::string_view::npos;
    if (text[i] == '-' && starts && i + 1 < text.size() &&
        is_digit(text[i + 1])) {
      out.append(kMinus.data(), kMinus.size());
    } else {
      out += text[i];
    }
  }
  return out;
}

std::vector<std::string> WrapText(absl::string_view text, size_t width) {
  width = std::max<size_t>(width, 1);
  std::vector<std::string> lines(1);
  size_t column = 0;  // of lines.back()
  const auto new_line = [&] {
    lines.emplace_back();
    column = 0;
  };
  const auto put = [&](absl::string_view word) {
    while (!word.empty()) {
      char32_t character;
      size_t bytes;
      DecodeUtf8(word, &character, &bytes);
      const auto columns = static_cast<size_t>(TerminalColumns(character));
      if (column > 0 && column + columns > width) new_line();
      lines.back().append(word.data(), bytes);
      column += columns;
      word.remove_prefix(bytes);
    }
  };
  for (size_t i = 0; i < text.size();) {
    if (text[i] == '\n') {
      new_line();
      ++i;
      continue;
    }
    size_t spaces = i;
    while (spaces < text.size() && text[spaces] == ' ') ++spaces;
    size_t end = spaces;
    while (end < text.size() && text[end] != ' ' && text[end] != '\n') ++end;
    const absl::string_view gap = text.substr(i, spaces - i);
    const absl::string_view word = text.substr(spaces, end - spaces);
    if (column > 0 &&
        column + gap.size() + static_cast<size_t>(TerminalColumns(word)) >
            width) {
      new_line();
    } else {
      put(gap);
    }
    put(word);
    i = end;
  }
  return lines;
}

size_t CommonPrefix(absl::string_view a, absl::string_view b) {
  size_t size = 0;
  const size_t limit = std::min(a.size(), b.size());
  while (size < limit && a[size] == b[size]) ++size;
  const auto inside = [&](absl::string_view text) {
    return size < text.size() && IsContinuation(text[size]);
  };
  while (size > 0 && (inside(a) || inside(b))) --size;
  return size;
}

}  // namespace caracal
