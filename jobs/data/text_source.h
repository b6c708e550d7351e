// Bytes of a file as text: UTF-8 throughout, or an error that says where not.
#ifndef CARACAL_JOBS_DATA_TEXT_SOURCE_H_
#define CARACAL_JOBS_DATA_TEXT_SOURCE_H_

#include <cstdint>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "jobs/data/byte_source.h"

namespace caracal {

// Gives valid UTF-8 without a byte order mark at the start. A sequence that is
// not UTF-8 (the longest invalid part, as in Python's errors="replace") becomes
// U+FFFD and is counted, as long as there are few: real corpora have some.
// Refused as another encoding are more than 16 and one in a thousand bytes
// while reading, or, at the end, more than one in a hundred; as binary, a zero
// byte. Memory: about 300 KiB. Not thread-safe.
class TextSource : public ByteSource {
 public:
  // `bytes` outlives it; `path` is for messages.
  TextSource(std::string path, ByteSource* bytes)
      : path_(std::move(path)), bytes_(bytes) {}

  // Also kInvalidArgument, naming path, line and byte offset: not text. The
  // offset counts from 0 in the unpacked file.
  absl::StatusOr<size_t> Read(char* out, size_t bytes) override;
  int64_t file_bytes() const override { return bytes_->file_bytes(); }

  // What Read will give first: some of it, at least 3 KiB where there are as
  // many, without taking it. Before the first Read.
  absl::StatusOr<absl::string_view> Peek();

  // Sequences that were replaced so far.
  int64_t replaced() const { return replaced_; }

 private:
  absl::Status Fill();
  absl::Status CheckStart();
  absl::Status CheckZeros() const;
  absl::Status Replace(uint8_t byte);
  absl::Status CheckShare() const;
  absl::Status TooMany(int64_t line, int64_t offset, uint8_t byte) const;

  const std::string path_;
  ByteSource* const bytes_;
  std::string raw_;    // not looked at yet
  std::string ready_;  // to be given out
  size_t given_ = 0;   // of `ready_`
  bool at_end_ = false;

  int64_t line_ = 1;    // of the start of `raw_`
  int64_t offset_ = 0;  // the same, in bytes
  int64_t replaced_ = 0;
  // Of the first sequence that was replaced.
  int64_t bad_line_ = 0, bad_offset_ = 0;
  uint8_t bad_byte_ = 0;
};

}  // namespace caracal

#endif  // CARACAL_JOBS_DATA_TEXT_SOURCE_H_
