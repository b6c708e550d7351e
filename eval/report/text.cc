// One strict UTF-8 decoder serves all of these.
#include "eval/report/text.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>

namespace caracal {
namespace {

constexpr absl::string_view kReplacement = "\xEF\xBF\xBD";  // U+FFFD
constexpr absl::string_view kMinus = "\xE2\x88\x92";        // U+2212

bool IsContinuation(char c) { return (c & 0xC0) == 0x80; }

// Bytes of the well-formed character that starts at text[i] (Unicode 15,
// table 3-7), or 0.
size_t CharacterSize(absl::string_view text, size_t i) {
  const uint8_t lead = static_cast<uint8_t>(text[i]);
  if (lead < 0x80) return 1;
  size_t size = 0;
  if (lead >= 0xC2 && lead <= 0xDF) size = 2;
  if (lead >= 0xE0 && lead <= 0xEF) size = 3;
  if (lead >= 0xF0 && lead <= 0xF4) size = 4;
  if (size == 0 || i + size > text.size()) return 0;
  for (size_t k = 1; k < size; ++k) {
    if (!IsContinuation(text[i + k])) return 0;
  }
  const uint8_t second = static_cast<uint8_t>(text[i + 1]);
  if (lead == 0xE0 && second < 0xA0) return 0;  // overlong
  if (lead == 0xED && second > 0x9F) return 0;  // surrogates
  if (lead == 0xF0 && second < 0x90) return 0;  // overlong
  if (lead == 0xF4 && second > 0x8F) return 0;  // beyond U+10FFFF
  return size;
}

bool MayBeShown(absl::string_view character) {
  const uint8_t first = static_cast<uint8_t>(character[0]);
  if (character.size() == 1) {
    return first == '\n' || first == '\t' || (first >= 0x20 && first != 0x7F);
  }
  const uint8_t second = static_cast<uint8_t>(character[1]);
  if (first == 0xC2 && second < 0xA0) return false;  // C1 controls
  return character != "\xEF\xBF\xBE" && character != "\xEF\xBF\xBF";
}

}  // namespace

std::string Printable(absl::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (size_t i = 0; i < text.size();) {
    if (text[i] == '\r' && i + 1 < text.size() && text[i + 1] == '\n') {
      ++i;
      continue;
    }
    const size_t size = CharacterSize(text, i);
    const absl::string_view character =
        text.substr(i, std::max<size_t>(size, 1));
    const bool keep = size > 0 && MayBeShown(character);
    out.append(std::string(keep ? character : kReplacement));
    i += character.size();
  }
  return out;
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

size_t DisplayWidth(absl::string_view text) {
  return static_cast<size_t>(std::count_if(
      text.begin(), text.end(), [](char c) { return !IsContinuation(c); }));
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
    for (size_t i = 0; i < word.size();) {
      const size_t size = std::max<size_t>(CharacterSize(word, i), 1);
      if (column == width) new_line();
      lines.back().append(word.data() + i, size);
      ++column;
      i += size;
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
    if (column > 0 && column + gap.size() + DisplayWidth(word) > width) {
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
