// Inputs that can be read once only, from start to end: pipes, terminals and
// other things that are no files. `--input /dev/stdin`, `--input <(zcat ...)`.
#ifndef CARACAL_JOBS_DATA_PIPE_SOURCE_H_
#define CARACAL_JOBS_DATA_PIPE_SOURCE_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "jobs/data/byte_source.h"

namespace caracal {

// Whether `path` names such a thing on this machine.
bool IsPipe(const std::string& path);

// Waits for a writer where a named pipe has none. Errors name the path.
absl::StatusOr<std::unique_ptr<ByteSource>> OpenPipe(const std::string& path);

}  // namespace caracal

#endif  // CARACAL_JOBS_DATA_PIPE_SOURCE_H_
