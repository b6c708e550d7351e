// Lines of a byte source.
#ifndef CARACAL_JOBS_DATA_LINE_READER_H_
#define CARACAL_JOBS_DATA_LINE_READER_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "jobs/data/byte_source.h"

namespace caracal {

// Memory is bounded by the longest line. Not thread-safe.
class LineReader {
 public:
  static constexpr size_t kMaxLineBytes = size_t{64} << 20;

  // `source` outlives it; `path` is for messages.
  LineReader(std::string path, ByteSource* source)
      : path_(std::move(path)), source_(source) {}

  // The next line without its line break (LF or CRLF), valid until the next
  // call; false at the end. kInvalidArgument: longer than kMaxLineBytes.
  absl::StatusOr<bool> Next(absl::string_view* line);
  // Of the line given last, from 1.
  int64_t line_number() const { return line_number_; }

 private:
  std::string path_;
  ByteSource* source_;
  std::string buffer_;
  size_t begin_ = 0;  // of what was not given out yet
  bool at_end_ = false;
  int64_t line_number_ = 0;
};

}  // namespace caracal

#endif  // CARACAL_JOBS_DATA_LINE_READER_H_
