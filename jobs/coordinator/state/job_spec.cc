#include "jobs/coordinator/state/job_spec.h"

#include <vector>

#include "absl/strings/str_cat.h"
#include "core/base/status.h"
#include "jobs/spec/job_file.h"

namespace caracal {
namespace {

// JobText begins with a comment, no message with this byte: it would open a
// group, which there are none of.
bool IsText(absl::string_view spec) { return !spec.empty() && spec[0] == '#'; }

}  // namespace

std::string MakeSpec(const proto::Job& expanded) {
  return expanded.SerializeAsString();
}

absl::StatusOr<proto::Job> ReadSpec(absl::string_view spec) {
  if (IsText(spec)) {
    std::vector<Problem> problems;
    proto::Job job = ParseJob(spec, "job", nullptr, &problems);
    RETURN_IF_ERROR(ProblemsToStatus(problems, "job"));
    return job;
  }
  proto::Job job;
  if (!job.ParseFromArray(spec.data(), static_cast<int>(spec.size()))) {
    return absl::InvalidArgumentError("job: its stored bytes are no job");
  }
  return job;
}

std::string SpecText(absl::string_view spec) {
  if (IsText(spec)) return std::string(spec);
  const absl::StatusOr<proto::Job> job = ReadSpec(spec);
  return job.ok() ? JobText(*job) : absl::StrCat("# ", job.status().message());
}

}  // namespace caracal
