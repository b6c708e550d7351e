// `caracal inspect` of checkpoints and run folders.
#ifndef CARACAL_JOBS_CLIENT_INSPECT_CHECKPOINT_H_
#define CARACAL_JOBS_CLIENT_INSPECT_CHECKPOINT_H_

#include <string>

#include "absl/status/statusor.h"
#include "core/base/file_system.h"
#include "jobs/client/inspection.h"

namespace caracal {

// A folder with a manifest. Its files are read and compared with the
// manifest; a difference comes back as `problem`.
absl::StatusOr<Inspection> InspectCheckpoint(const std::string& folder,
                                             FileSystem* files);

// A folder with checkpoints in it.
absl::StatusOr<Inspection> InspectRun(const std::string& folder,
                                      FileSystem* files);

}  // namespace caracal

#endif  // CARACAL_JOBS_CLIENT_INSPECT_CHECKPOINT_H_
