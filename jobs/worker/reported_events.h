// A conversion's events, for the coordinator as well.
#ifndef CARACAL_JOBS_WORKER_REPORTED_EVENTS_H_
#define CARACAL_JOBS_WORKER_REPORTED_EVENTS_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "jobs/convert/conversion.h"
#include "jobs/launch/gang_folder.h"
#include "jobs/worker/coordinator_link.h"
#include "proto/job.pb.h"

namespace caracal {

// `events`, and the link told of each step and of what comes after the last
// one; the gang's folder, of its first step. The link outlives the conversion;
// the job is expanded.
ConversionEvents Reported(ConversionEvents events, const proto::Job& job,
                          const GangFolder& gang, CoordinatorLink* link);

// For CoordinatorLinkOptions::written: from the metrics of the run folder.
std::function<absl::StatusOr<std::vector<std::string>>(int64_t first,
                                                       size_t most)>
WrittenMetrics(const GangFolder& gang, const std::string& run_folder);

}  // namespace caracal

#endif  // CARACAL_JOBS_WORKER_REPORTED_EVENTS_H_
