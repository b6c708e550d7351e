#include "jobs/data/text_check.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_format.h"
#include "core/base/status.h"
#include "core/io/tokenizer/unicode.h"

namespace caracal {
namespace {

constexpr int64_t kAllowed = 16;
constexpr int64_t kAllowedOneIn = 1000;

int64_t CountLines(absl::string_view text) {
  return std::count(text.begin(), text.end(), '\n');
}

}  // namespace

absl::Status TextCheck::CountInvalid(uint8_t byte, int64_t bytes,
                                     int64_t at_byte) {
  invalid_ += bytes;
  if (invalid_ <= kAllowed + at_byte / kAllowedOneIn) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrFormat(
      "%s: line %d: byte 0x%02X is not UTF-8, and %d of the first %d bytes are "
      "not: UTF-8 text expected",
      path_, line_, byte, invalid_, at_byte + bytes));
}

absl::Status TextCheck::Add(absl::string_view bytes) {
  const size_t zero = bytes.find('\0');
  if (zero != absl::string_view::npos) {
    return absl::InvalidArgumentError(absl::StrCat(
        path_, ": line ", line_ + CountLines(bytes.substr(0, zero)),
        ": a zero byte; this is binary data, not text"));
  }
  std::string joined;
  if (!pending_.empty()) {
    joined = absl::StrCat(pending_, bytes);
    bytes_ -= static_cast<int64_t>(pending_.size());
    bytes = joined;
  }
  const size_t incomplete = IncompleteUtf8Suffix(bytes);
  const std::string rest(bytes.substr(bytes.size() - incomplete));
  absl::string_view left = bytes.substr(0, bytes.size() - incomplete);
  while (!left.empty()) {
    const size_t valid = ValidUtf8Prefix(left);
    line_ += CountLines(left.substr(0, valid));
    bytes_ += static_cast<int64_t>(valid);
    left.remove_prefix(valid);
    if (left.empty()) break;
    const auto length = static_cast<int64_t>(DecodeUtf8Char(left).length);
    RETURN_IF_ERROR(
        CountInvalid(static_cast<uint8_t>(left[0]), length, bytes_));
    bytes_ += length;
    left.remove_prefix(length);
  }
  bytes_ += static_cast<int64_t>(incomplete);
  pending_ = rest;
  return absl::OkStatus();
}

}  // namespace caracal
