#include "jobs/coordinator/rpc/submitter.h"

#include <utility>

#include "core/base/clock.h"
#include "core/base/status.h"
#include "jobs/coordinator/rpc/submission.h"

namespace caracal {

void Submitter::Submit(const proto::SubmitRequest& request,
                       const std::string& owner, Reply reply) {
  const absl::Duration begun = Clock::Real()->Now();
  if (const absl::Status open = CheckOpen(); !open.ok()) {
    Count(false, {});
    return reply(open, {});
  }
  JobRequest job;
  std::vector<Problem> problems;
  absl::Status status = ReadSubmission(request, slots_, slurm_, files_,
                                       &surroundings_, &job, &problems);
  job.owner = owner;
  if (status.ok()) {
    const bool whole = problems.empty();
    status = coordinator_->CheckRequest(job, &problems);
    if (!whole) status = ProblemsToStatus(problems, kSubmittedJob);
  }
  if (!status.ok()) {
    Count(false, {});
    return reply(status, problems);
  }
  coordinator_->Submit(job, [this, begun, reply = std::move(reply)](
                                const absl::StatusOr<JobId>& id) {
    Count(id.ok(), Clock::Real()->Now() - begun);
    reply(id, {});
  });
}

absl::Status Submitter::CheckOpen() const {
  if (!closed_.empty()) return absl::FailedPreconditionError(closed_);
  return coordinator_->CheckStore();
}

absl::Status Submitter::Validate(const proto::SubmitRequest& request,
                                 const std::string& owner,
                                 std::vector<Problem>* problems) {
  RETURN_IF_ERROR(CheckOpen());
  JobRequest job;
  const absl::Status read = ReadSubmission(request, slots_, slurm_, files_,
                                           &surroundings_, &job, problems);
  if (request.job().empty()) problems->clear();
  if (!read.ok()) problems->push_back({"", std::string(read.message()), ""});
  job.owner = owner;
  // Its error says no more than they do.
  (void)coordinator_->CheckRequest(job, problems);
  return absl::OkStatus();
}

void Submitter::Count(bool accepted, absl::Duration took) {
  absl::MutexLock lock(&mutex_);
  if (!accepted) {
    ++counts_.refused;
    return;
  }
  ++counts_.accepted;
  const double seconds = absl::ToDoubleSeconds(took);
  counts_.seconds += seconds;
  for (size_t i = 0; i < SubmissionCounts::kBounds.size(); ++i) {
    if (seconds <= SubmissionCounts::kBounds[i]) ++counts_.within[i];
  }
}

SubmissionCounts Submitter::Counts() const {
  absl::MutexLock lock(&mutex_);
  return counts_;
}

}  // namespace caracal
