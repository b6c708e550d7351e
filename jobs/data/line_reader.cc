#include "jobs/data/line_reader.h"

#include <utility>

#include "absl/strings/strip.h"
#include "core/base/status.h"

namespace caracal {
namespace {

constexpr size_t kReadBytes = 256 << 10;

}  // namespace

absl::StatusOr<bool> LineReader::Next(absl::string_view* line) {
  size_t searched = begin_;
  while (true) {
    const size_t end = buffer_.find('\n', searched);
    if (end != std::string::npos || (at_end_ && begin_ < buffer_.size())) {
      const size_t stop = end == std::string::npos ? buffer_.size() : end;
      *line = absl::string_view(buffer_).substr(begin_, stop - begin_);
      absl::ConsumeSuffix(line, "\r");
      begin_ = end == std::string::npos ? stop : stop + 1;
      ++line_number_;
      return true;
    }
    if (at_end_) return false;
    buffer_.erase(0, begin_);
    begin_ = 0;
    searched = buffer_.size();
    if (searched > kMaxLineBytes) {
      return absl::InvalidArgumentError(
          absl::StrCat(path_, ": line ", line_number_ + 1, " is longer than ",
                       kMaxLineBytes >> 20, " MiB"));
    }
    buffer_.resize(searched + kReadBytes);
    ASSIGN_OR_RETURN(const size_t n,
                     source_->Read(buffer_.data() + searched, kReadBytes));
    buffer_.resize(searched + n);
    at_end_ = n == 0;
  }
}

}  // namespace caracal
