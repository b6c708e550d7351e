// How long a token is to be valid, as people write it.
#ifndef CARACAL_JOBS_COORDINATOR_ACCESS_LIFETIME_H_
#define CARACAL_JOBS_COORDINATOR_ACCESS_LIFETIME_H_

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace caracal {

// Of "30d", "12h", "90m", "45s": up to ten years. kInvalidArgument.
absl::StatusOr<absl::Duration> ParseLifetime(absl::string_view text);

}  // namespace caracal

#endif  // CARACAL_JOBS_COORDINATOR_ACCESS_LIFETIME_H_
