#include "core/base/utf8.h"

#include <cstdint>

#include "absl/strings/str_cat.h"

namespace caracal {
namespace {

struct Range {
  char32_t first, last;
};

// Blocks of combining marks, format characters and variation selectors that
// names and prose come with.
constexpr Range kZeroWidth[] = {
    {0x0300, 0x036F}, {0x0483, 0x0489},   {0x0591, 0x05BD},   {0x0610, 0x061A},
    {0x064B, 0x065F}, {0x093C, 0x093C},   {0x0941, 0x0948},   {0x094D, 0x094D},
    {0x0E31, 0x0E31}, {0x0E34, 0x0E3A},   {0x0E47, 0x0E4E},   {0x1AB0, 0x1AFF},
    {0x1DC0, 0x1DFF}, {0x200B, 0x200F},   {0x202A, 0x202E},   {0x2060, 0x2064},
    {0x20D0, 0x20F0}, {0x302A, 0x302D},   {0xFE00, 0xFE0F},   {0xFE20, 0xFE2F},
    {0xFEFF, 0xFEFF}, {0x1F3FB, 0x1F3FF}, {0xE0100, 0xE01EF},
};

// East Asian wide and full-width blocks, and emoji.
constexpr Range kDoubleWidth[] = {
    {0x1100, 0x115F},   {0x231A, 0x231B},   {0x23E9, 0x23EC},
    {0x2614, 0x2615},   {0x26A1, 0x26A1},   {0x2705, 0x2705},
    {0x274C, 0x274C},   {0x2753, 0x2755},   {0x2E80, 0x303E},
    {0x3041, 0x33FF},   {0x3400, 0x4DBF},   {0x4E00, 0x9FFF},
    {0xA000, 0xA4CF},   {0xA960, 0xA97F},   {0xAC00, 0xD7A3},
    {0xF900, 0xFAFF},   {0xFE30, 0xFE6F},   {0xFF00, 0xFF60},
    {0xFFE0, 0xFFE6},   {0x1F300, 0x1F64F}, {0x1F680, 0x1F6FF},
    {0x1F900, 0x1F9FF}, {0x1FA70, 0x1FAFF}, {0x20000, 0x3FFFD},
};

template <size_t N>
bool In(const Range (&ranges)[N], char32_t code_point) {
  for (const Range& range : ranges) {
    if (code_point >= range.first && code_point <= range.last) return true;
  }
  return false;
}

}  // namespace

bool DecodeUtf8(absl::string_view text, char32_t* code_point, size_t* bytes) {
  const uint8_t lead = static_cast<uint8_t>(text[0]);
  *bytes = 1;
  *code_point = lead;
  if (lead < 0x80) return true;
  // Length, payload of the lead byte and least code point of each length.
  const size_t length = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
  const char32_t least = length == 4 ? 0x10000 : length == 3 ? 0x800 : 0x80;
  char32_t value = lead & (0x7F >> length);
  bool valid = lead >= 0xC2 && lead <= 0xF4 && text.size() >= length;
  for (size_t i = 1; valid && i < length; ++i) {
    const uint8_t next = static_cast<uint8_t>(text[i]);
    valid = (next & 0xC0) == 0x80;
    value = value << 6 | (next & 0x3F);
  }
  valid = valid && value >= least && value <= 0x10FFFF &&
          (value < 0xD800 || value > 0xDFFF);
  *code_point = valid ? value : 0xFFFD;
  if (valid) *bytes = length;
  return valid;
}

bool IsValidUtf8(absl::string_view text) {
  while (!text.empty()) {
    char32_t code_point;
    size_t bytes;
    if (!DecodeUtf8(text, &code_point, &bytes)) return false;
    text.remove_prefix(bytes);
  }
  return true;
}

std::string AsValidUtf8(absl::string_view text) {
  std::string out;
  while (!text.empty()) {
    char32_t code_point;
    size_t bytes;
    const bool valid = DecodeUtf8(text, &code_point, &bytes);
    absl::StrAppend(&out, valid ? text.substr(0, bytes) : "\uFFFD");
    text.remove_prefix(bytes);
  }
  return out;
}

int TerminalColumns(char32_t code_point) {
  if (code_point < 0x20 || (code_point >= 0x7F && code_point < 0xA0)) return 0;
  if (In(kZeroWidth, code_point)) return 0;
  return In(kDoubleWidth, code_point) ? 2 : 1;
}

int TerminalColumns(absl::string_view text) {
  int columns = 0;
  while (!text.empty()) {
    char32_t code_point;
    size_t bytes;
    DecodeUtf8(text, &code_point, &bytes);
    columns += TerminalColumns(code_point);
    text.remove_prefix(bytes);
  }
  return columns;
}

}  // namespace caracal
