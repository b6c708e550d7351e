// Tells text from what is not, while a file streams by.
#ifndef CARACAL_JOBS_DATA_TEXT_CHECK_H_
#define CARACAL_JOBS_DATA_TEXT_CHECK_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace caracal {

// A zero byte makes a file binary. Bytes that are not UTF-8 are let pass as
// long as they are few (16 and one in a thousand): real corpora have some.
// Not thread-safe.
class TextCheck {
 public:
  explicit TextCheck(std::string path) : path_(std::move(path)) {}

  // The next bytes of the file. kInvalidArgument naming path and line.
  absl::Status Add(absl::string_view bytes);

 private:
  absl::Status CountInvalid(uint8_t byte, int64_t bytes, int64_t at_byte);

  std::string path_;
  int64_t line_ = 1;
  int64_t bytes_ = 0;
  int64_t invalid_ = 0;
  std::string pending_;  // the beginning of a character, at most 3 bytes
};

}  // namespace caracal

#endif  // CARACAL_JOBS_DATA_TEXT_CHECK_H_
