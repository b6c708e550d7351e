// `caracal inspect FILE`: what a file is and what is in it.
#ifndef CARACAL_JOBS_CLIENT_INSPECT_H_
#define CARACAL_JOBS_CLIENT_INSPECT_H_

#include <string>

#include "absl/status/statusor.h"
#include "core/base/file_system.h"
#include "jobs/client/command.h"
#include "jobs/client/inspection.h"

namespace caracal {

CommandBody DeclareInspect(CLI::App& app);

// Finds the format by contents, not by name. kInvalidArgument for one that is
// not known; other errors are those of the format's reader.
absl::StatusOr<Inspection> InspectPath(const std::string& path, bool verify,
                                       FileSystem* files = FileSystem::Posix());

}  // namespace caracal

#endif  // CARACAL_JOBS_CLIENT_INSPECT_H_
