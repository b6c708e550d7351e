// A job as the coordinator keeps it: JobRequest::spec.
#ifndef CARACAL_JOBS_COORDINATOR_STATE_JOB_SPEC_H_
#define CARACAL_JOBS_COORDINATOR_STATE_JOB_SPEC_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "proto/job.pb.h"

namespace caracal {

// A tenth of the time that its text takes, which few people ever ask for.
std::string MakeSpec(const proto::Job& expanded);

// kInvalidArgument for what MakeSpec has not made. Also takes the text of a job
// file (JobText), which is what programs before this one kept.
absl::StatusOr<proto::Job> ReadSpec(absl::string_view spec);

// As a job file; of what cannot be read, why not.
std::string SpecText(absl::string_view spec);

}  // namespace caracal

#endif  // CARACAL_JOBS_COORDINATOR_STATE_JOB_SPEC_H_
