#include "core/base/status.h"

#include <cerrno>
#include <cstring>

namespace caracal {

absl::Status ErrnoStatus(int error_number, absl::string_view what) {
  absl::StatusCode code = absl::ErrnoToStatusCode(error_number);
  if (error_number == ENOSPC || error_number == EDQUOT) {
    code = absl::StatusCode::kResourceExhausted;
  }
  return absl::Status(code,
                      absl::StrCat(what, ": ", std::strerror(error_number)));
}

}  // namespace caracal
