#include "core/io/tokenizer/unicode.h"

#include <algorithm>
#include <cstring>

namespace caracal {
namespace {

constexpr uint32_t kReplacement = 0xFFFD;

uint8_t ByteAt(absl::string_view text, size_t i) {
  return static_cast<uint8_t>(text[i]);
}

// What the first byte of a character says about the rest. The range of the
// second byte is what excludes overlong forms, surrogates and > U+10FFFF.
struct Lead {
  size_t length;  // 0: no character begins with this byte
  uint8_t second_min;
  uint8_t second_max;
};

Lead LeadOf(uint8_t byte) {
  if (byte < 0x80) return {1, 0, 0};
  if (byte < 0xC2) return {0, 0, 0};
  if (byte < 0xE0) return {2, 0x80, 0xBF};
  if (byte == 0xE0) return {3, 0xA0, 0xBF};
  if (byte == 0xED) return {3, 0x80, 0x9F};
  if (byte < 0xF0) return {3, 0x80, 0xBF};
  if (byte == 0xF0) return {4, 0x90, 0xBF};
  if (byte < 0xF4) return {4, 0x80, 0xBF};
  if (byte == 0xF4) return {4, 0x80, 0x8F};
  return {0, 0, 0};
}

// How many bytes of the character at the start of `text` are as they should
// be; lead.length when it is whole.
size_t GoodBytes(absl::string_view text, const Lead& lead) {
  if (lead.length <= 1) return lead.length;
  size_t i = 1;
  for (; i < lead.length && i < text.size(); ++i) {
    const uint8_t byte = ByteAt(text, i);
    const uint8_t low = i == 1 ? lead.second_min : 0x80;
    const uint8_t high = i == 1 ? lead.second_max : 0xBF;
    if (byte < low || byte > high) break;
  }
  return i;
}

}  // namespace

Utf8Char DecodeUtf8Char(absl::string_view text) {
  const uint8_t first = ByteAt(text, 0);
  if (first < 0x80) return {first, 1, true};
  const Lead lead = LeadOf(first);
  const size_t good = GoodBytes(text, lead);
  if (lead.length == 0 || good < lead.length) {
    return {kReplacement, std::max<size_t>(good, 1), false};
  }
  uint32_t code_point = first & (0xFFu >> (lead.length + 1));
  for (size_t i = 1; i < lead.length; ++i) {
    code_point = code_point << 6 | (ByteAt(text, i) & 0x3Fu);
  }
  return {code_point, lead.length, true};
}

size_t ValidUtf8Prefix(absl::string_view text) {
  size_t i = 0;
  while (i < text.size()) {
    // Most text is ASCII: eight bytes at a time.
    while (i + 8 <= text.size()) {
      uint64_t word;
      std::memcpy(&word, text.data() + i, 8);
      if ((word & 0x8080808080808080u) != 0) break;
      i += 8;
    }
    if (i == text.size()) break;
    const Utf8Char c = DecodeUtf8Char(text.substr(i));
    if (!c.valid) break;
    i += c.length;
  }
  return i;
}

size_t IncompleteUtf8Suffix(absl::string_view text) {
  for (size_t back = 1; back <= 3 && back <= text.size(); ++back) {
    const absl::string_view tail = text.substr(text.size() - back);
    const Lead lead = LeadOf(ByteAt(tail, 0));
    if (lead.length > back && GoodBytes(tail, lead) == back) return back;
  }
  return 0;
}

void AppendUtf8(uint32_t code_point, std::string* out) {
  const auto add = [out](uint32_t byte) {
    out->push_back(static_cast<char>(byte));
  };
  if (code_point < 0x80) {
    add(code_point);
  } else if (code_point < 0x800) {
    add(0xC0 | code_point >> 6);
    add(0x80 | (code_point & 0x3F));
  } else if (code_point < 0x10000) {
    add(0xE0 | code_point >> 12);
    add(0x80 | (code_point >> 6 & 0x3F));
    add(0x80 | (code_point & 0x3F));
  } else {
    add(0xF0 | code_point >> 18);
    add(0x80 | (code_point >> 12 & 0x3F));
    add(0x80 | (code_point >> 6 & 0x3F));
    add(0x80 | (code_point & 0x3F));
  }
}

std::string ReplaceInvalidUtf8(absl::string_view text) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    const size_t valid = ValidUtf8Prefix(text);
    out.append(text.data(), valid);
    text.remove_prefix(valid);
    if (text.empty()) break;
    AppendUtf8(kReplacement, &out);
    text.remove_prefix(DecodeUtf8Char(text).length);
  }
  return out;
}

bool IsWhiteSpace(uint32_t c) {
  return (c >= 0x09 && c <= 0x0D) || c == 0x20 || c == 0x85 || c == 0xA0 ||
         c == 0x1680 || (c >= 0x2000 && c <= 0x200A) || c == 0x2028 ||
         c == 0x2029 || c == 0x202F || c == 0x205F || c == 0x3000;
}

}  // namespace caracal
