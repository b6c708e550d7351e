// Propagation macros and small helpers around absl::Status. Environment
// failures travel as Status; programmer errors CHECK (kernels/common/check.h).
#ifndef CARACAL_CORE_BASE_STATUS_H_
#define CARACAL_CORE_BASE_STATUS_H_

#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "kernels/common/check.h"

namespace caracal {

// The same code, with "context: " before the message. OK stays OK.
inline absl::Status Annotate(const absl::Status& status,
                             absl::string_view context) {
  if (status.ok()) return status;
  return absl::Status(status.code(),
                      absl::StrCat(context, ": ", status.message()));
}

// "open /tmp/x: No such file or directory", with the code errno maps to
// (kNotFound, kPermissionDenied, kResourceExhausted for a full disk, ...).
absl::Status ErrnoStatus(int error_number, absl::string_view what);

}  // namespace caracal

// RETURN_IF_ERROR(Read(path, &text));
#define RETURN_IF_ERROR(expr)                                           \
  do {                                                                  \
    if (absl::Status caracal_status_ = (expr); !caracal_status_.ok()) { \
      return caracal_status_;                                           \
    }                                                                   \
  } while (false)

#define CARACAL_CONCAT_INNER_(a, b) a##b
#define CARACAL_CONCAT_(a, b) CARACAL_CONCAT_INNER_(a, b)

// ASSIGN_OR_RETURN(std::string text, ReadFile(path));
#define ASSIGN_OR_RETURN(lhs, expr)                                            \
  CARACAL_ASSIGN_OR_RETURN_(CARACAL_CONCAT_(caracal_statusor_, __LINE__), lhs, \
                            expr)
#define CARACAL_ASSIGN_OR_RETURN_(statusor, lhs, expr) \
  auto statusor = (expr);                              \
  if (!statusor.ok()) return statusor.status();        \
  lhs = std::move(statusor).value()

// For main() and tests: aborts with the message.
#define CARACAL_CHECK_OK(expr)                                         \
  do {                                                                 \
    const absl::Status caracal_status_ = (expr);                       \
    CARACAL_CHECK(caracal_status_.ok()) << caracal_status_.ToString(); \
  } while (false)

#endif  // CARACAL_CORE_BASE_STATUS_H_
