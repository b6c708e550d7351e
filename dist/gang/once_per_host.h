// What costs a host as much for one rank as for all: reading a whole file.
#ifndef CARACAL_DIST_GANG_ONCE_PER_HOST_H_
#define CARACAL_DIST_GANG_ONCE_PER_HOST_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "dist/gang/gang.h"
#include "kernels/common/thread_pool.h"

namespace caracal {

// What `compute` gives, called on one rank of those that have the same host and
// the same `what`, at the same time on different hosts. Every rank calls.
absl::StatusOr<std::string> OncePerHost(Gang& gang, absl::string_view what,
                                        FunctionRef<std::string()> compute);

}  // namespace caracal

#endif  // CARACAL_DIST_GANG_ONCE_PER_HOST_H_
