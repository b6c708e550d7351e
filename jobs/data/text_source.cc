#include "jobs/data/text_source.h"

#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "core/base/status.h"
#include "core/io/tokenizer/unicode.h"

namespace caracal {
namespace {

constexpr size_t kBlockBytes = 64 << 10;
constexpr size_t kPeekBytes = 4 << 10;
constexpr absl::string_view kByteOrderMark = "\xEF\xBB\xBF";
constexpr absl::string_view kReplacement = "\xEF\xBF\xBD";  // U+FFFD

// While reading, with `n` bytes behind: kAllowed + n / kAllowedOneIn.
constexpr int64_t kAllowed = 16;
constexpr int64_t kAllowedOneIn = 1000;
// Of a whole file, which may be a short one.
constexpr int64_t kAllowedOneInAtEnd = 100;

int64_t CountLines(absl::string_view text) {
  return std::count(text.begin(), text.end(), '\n');
}

}  // namespace

absl::Status TextSource::TooMany(int64_t line, int64_t offset,
                                 uint8_t byte) const {
  return absl::InvalidArgumentError(absl::StrFormat(
      "%s: line %d: the byte 0x%02X at byte offset %d is not UTF-8, and there "
      "are %d such places in the first %d bytes: UTF-8 text expected",
      path_, line, byte, offset, replaced_, std::max(offset_, offset + 1)));
}

absl::Status TextSource::Replace(uint8_t byte) {
  ready_.append(kReplacement.data(), kReplacement.size());
  if (replaced_++ == 0) {
    bad_line_ = line_;
    bad_offset_ = offset_;
    bad_byte_ = byte;
  }
  if (replaced_ <= kAllowed + offset_ / kAllowedOneIn) return absl::OkStatus();
  return TooMany(line_, offset_, byte);
}

absl::Status TextSource::CheckShare() const {
  if (replaced_ <= std::max<int64_t>(1, offset_ / kAllowedOneInAtEnd)) {
    return absl::OkStatus();
  }
  return TooMany(bad_line_, bad_offset_, bad_byte_);
}

absl::Status TextSource::CheckZeros() const {
  const size_t zero = raw_.find('\0');
  if (zero == std::string::npos) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(
      path_, ": line ",
      line_ + CountLines(absl::string_view(raw_).substr(0, zero)),
      ": a zero byte at byte offset ", offset_ + static_cast<int64_t>(zero),
      "; this is binary data, not text"));
}

absl::Status TextSource::CheckStart() {
  if (absl::StartsWith(raw_, "\xFF\xFE") ||
      absl::StartsWith(raw_, "\xFE\xFF")) {
    return absl::InvalidArgumentError(
        absl::StrCat(path_,
                     ": begins with the byte order mark of UTF-16; UTF-8 text "
                     "expected: convert it with iconv -f UTF-16 -t UTF-8"));
  }
  if (absl::StartsWith(raw_, kByteOrderMark)) {
    raw_.erase(0, kByteOrderMark.size());
    offset_ += static_cast<int64_t>(kByteOrderMark.size());
  }
  return absl::OkStatus();
}

absl::Status TextSource::Fill() {
  ready_.clear();
  given_ = 0;
  const bool at_start = offset_ == 0 && raw_.empty();
  // Enough to see a byte order mark and to peek at, even from a slow pipe.
  size_t before;
  do {
    before = raw_.size();
    raw_.resize(before + kBlockBytes);
    ASSIGN_OR_RETURN(const size_t n,
                     bytes_->Read(raw_.data() + before, kBlockBytes));
    raw_.resize(before + n);
    at_end_ = n == 0;
  } while (!at_end_ && at_start && raw_.size() < kPeekBytes);
  if (at_start) RETURN_IF_ERROR(CheckStart());
  RETURN_IF_ERROR(CheckZeros());

  // What is incomplete may become a character with the bytes to come.
  const size_t kept = at_end_ ? 0 : IncompleteUtf8Suffix(raw_);
  absl::string_view left =
      absl::string_view(raw_).substr(0, raw_.size() - kept);
  while (!left.empty()) {
    const size_t valid = ValidUtf8Prefix(left);
    ready_.append(left.data(), valid);
    line_ += CountLines(left.substr(0, valid));
    offset_ += static_cast<int64_t>(valid);
    left.remove_prefix(valid);
    if (left.empty()) break;
    const size_t invalid = DecodeUtf8Char(left).length;
    RETURN_IF_ERROR(Replace(static_cast<uint8_t>(left[0])));
    offset_ += static_cast<int64_t>(invalid);
    left.remove_prefix(invalid);
  }
  raw_.erase(0, raw_.size() - kept);
  return at_end_ ? CheckShare() : absl::OkStatus();
}

absl::StatusOr<size_t> TextSource::Read(char* out, size_t bytes) {
  while (given_ == ready_.size() && !at_end_) RETURN_IF_ERROR(Fill());
  const size_t n = std::min(bytes, ready_.size() - given_);
  std::copy_n(ready_.data() + given_, n, out);
  given_ += n;
  return n;
}

absl::StatusOr<absl::string_view> TextSource::Peek() {
  if (ready_.empty() && !at_end_) RETURN_IF_ERROR(Fill());
  return absl::string_view(ready_).substr(given_);
}

}  // namespace caracal
