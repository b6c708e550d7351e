// What a gang has written of its metrics and could not tell the coordinator,
// which was away.
#ifndef CARACAL_JOBS_COORDINATOR_SERVICE_LEFT_METRICS_H_
#define CARACAL_JOBS_COORDINATOR_SERVICE_LEFT_METRICS_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "core/base/file_system.h"
#include "jobs/coordinator/state/job_record.h"

namespace caracal {

// Whole lines of a metrics.jsonl, at most `most`: those of the steps after
// `step` (global_step), which follow one another; steps rise. Looks for them
// without reading all that is before. What comes after a line that is none is
// left out. Errors of the file.
absl::StatusOr<std::vector<std::string>> MetricsAfter(FileSystem* files,
                                                      const std::string& path,
                                                      int64_t step,
                                                      size_t most);

// The stage and global step of a line; none where it is no such line.
JobProgress ProgressOf(const std::string& line);

}  // namespace caracal

#endif  // CARACAL_JOBS_COORDINATOR_SERVICE_LEFT_METRICS_H_
