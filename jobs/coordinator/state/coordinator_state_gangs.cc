// What gangs and their launchers report, and how gangs end.
#include <algorithm>
#include <optional>

#include "absl/strings/str_cat.h"
#include "core/base/status.h"
#include "jobs/coordinator/state/coordinator_state.h"
#include "jobs/coordinator/state/job_spec.h"
#include "kernels/common/check.h"

namespace caracal {
namespace {

constexpr int64_t kMostLines = int64_t{1} << 40;
// Steps that are directed at a time.
constexpr int64_t kWindow = 256;

}  // namespace

absl::Status CoordinatorState::Register(JobId id, uint64_t epoch,
                                        absl::Time now, Effects* effects) {
  ASSIGN_OR_RETURN(JobRecord* const job, FindGang(id, epoch));
  if (job->state == JobState::kCancelling) return absl::OkStatus();
  if (job->state == JobState::kLaunching) {
    Go(*job, JobState::kRunning, JobCause::kHeard, "", now, effects);
  }
  SetDeadline(id, Deadline::kHeard, now + limits_.heartbeat_timeout);
  return absl::OkStatus();
}

absl::Status CoordinatorState::SetHosts(JobId id, uint64_t epoch,
                                        const std::vector<std::string>& hosts,
                                        Effects* effects) {
  ASSIGN_OR_RETURN(JobRecord* const job, FindGang(id, epoch));
  if (job->hosts == hosts) return absl::OkStatus();
  job->hosts = hosts;
  effects->saved.push_back(id);
  effects->gangs.push_back({id, epoch, hosts});
  return absl::OkStatus();
}

absl::StatusOr<bool> CoordinatorState::Heartbeat(JobId id, uint64_t epoch,
                                                 const JobProgress& progress,
                                                 absl::Time now,
                                                 Effects* effects) {
  RETURN_IF_ERROR(Register(id, epoch, now, effects));
  JobRecord& job = jobs_.at(id);
  // A gang that has not begun knows nothing of the steps before it.
  if (!(progress == JobProgress()) && !(job.progress == progress)) {
    job.progress = progress;
    effects->progressed.push_back(id);
  }
  if (job.retries > 0 && progress.global_step > job.step_at_start) {
    job.retries = 0;
    effects->saved.push_back(id);
  }
  return job.state != JobState::kCancelling;
}

absl::StatusOr<int64_t> CoordinatorState::Report(
    JobId id, uint64_t epoch, int64_t first,
    const std::vector<std::string>& lines, Effects* effects) {
  ASSIGN_OR_RETURN(JobRecord* const job, FindGang(id, epoch));
  return AddLines(*job, first, lines, effects);
}

absl::StatusOr<int64_t> CoordinatorState::ReportLeft(
    JobId id, uint64_t epoch, const JobProgress& progress, int64_t first,
    const std::vector<std::string>& lines, Effects* effects) {
  JobRecord* const job = FindMutable(id);
  if (job == nullptr) return NoSuchJob(id);
  if (job->epoch != epoch || !HoldsSlots(job->state)) {
    return absl::AbortedError(absl::StrCat("gang ", epoch, " of job ", id,
                                           " is known to have ended"));
  }
  if (progress.global_step > job->progress.global_step) {
    job->progress.stage = progress.stage;
    job->progress.global_step = progress.global_step;
    job->progress.total_steps =
        std::max(job->progress.total_steps, progress.global_step);
    effects->progressed.push_back(id);
  }
  return AddLines(*job, first, lines, effects);
}

absl::StatusOr<int64_t> CoordinatorState::AddLines(
    JobRecord& job, int64_t first, const std::vector<std::string>& lines,
    Effects* effects) {
  const int64_t count = static_cast<int64_t>(lines.size());
  if (count == 0) return job.lines;
  if (first < 1 || first > kMostLines) {
    return absl::InvalidArgumentError(
        absl::StrCat("there is no line ", first, " of the metrics"));
  }
  const int64_t known = std::max<int64_t>(0, job.lines + 1 - first);
  if (known >= count) return job.lines;
  for (int64_t i = known; i < count; ++i) {
    effects->metrics.push_back({job.id, lines[i]});
  }
  job.lines = first + count - 1;
  effects->saved.push_back(job.id);
  return job.lines;
}

absl::StatusOr<CurriculumWindow> CoordinatorState::Direct(
    JobId id, uint64_t epoch, const CurriculumPoint& point, Effects* effects) {
  ASSIGN_OR_RETURN(const JobRecord* const job, FindGang(id, epoch));
  auto directed = directed_.find(id);
  if (directed == directed_.end()) {
    ASSIGN_OR_RETURN(proto::Job spec, ReadSpec(job->request.spec.str()));
    directed = directed_.emplace(id, Directed{std::move(spec)}).first;
  }
  Directed& last = directed->second;
  ASSIGN_OR_RETURN(CurriculumWindow window,
                   caracal::Direct(last.job, point, job->tuning, kWindow));
  const bool again = last.epoch == epoch && last.tunings == job->tunings &&
                     last.stage == point.stage && last.step == point.step;
  if (!again) {
    effects->decisions.push_back(
        {id, point.stage, "finetune", window, job->tuning});
    last.epoch = epoch;
    last.tunings = job->tunings;
    last.stage = point.stage;
    last.step = point.step;
  }
  return window;
}

void CoordinatorState::GangFound(JobId id, uint64_t epoch, absl::Time now,
                                 Effects* effects) {
  const absl::StatusOr<JobRecord*> job = FindGang(id, epoch);
  if (!job.ok()) {
    // Of an older epoch, or given up: it has no business any more.
    effects->orders.push_back({GangOrderKind::kKill, id, epoch});
    return;
  }
  if ((*job)->state == JobState::kCancelling) return;
  SetDeadline(id, Deadline::kHeard, now + PatienceWith(**job));
  if ((*job)->state == JobState::kLaunching) SetReason(**job, "", effects);
}

void CoordinatorState::GangWaits(JobId id, uint64_t epoch,
                                 const std::string& reason, absl::Time now,
                                 Effects* effects) {
  const absl::StatusOr<JobRecord*> job = FindGang(id, epoch);
  if (!job.ok() || (*job)->state != JobState::kLaunching) return;
  SetDeadline(id, Deadline::kHeard, now + limits_.start_timeout);
  SetReason(**job, absl::StrCat("waits for the cluster: ", reason), effects);
}

void CoordinatorState::SetClusterSilent(bool silent, absl::Time now) {
  cluster_silent_ = silent;
  for (const JobId id : counts_.holders()) {
    const JobRecord& job = jobs_.at(id);
    if (job.state == JobState::kLaunching && !job.given_up.has_value()) {
      SetDeadline(id, Deadline::kHeard, now + PatienceWith(job));
    }
  }
}

void CoordinatorState::SetReason(JobRecord& job, const std::string& reason,
                                 Effects* effects) {
  if (job.reason == reason) return;
  job.reason = reason;
  effects->saved.push_back(job.id);
}

void CoordinatorState::GangEnded(JobId id, uint64_t epoch, GangEnd end,
                                 const std::string& reason, absl::Time now,
                                 Effects* effects) {
  JobRecord* job = FindMutable(id);
  if (job == nullptr || job->epoch != epoch || !HoldsSlots(job->state)) return;
  const GangEnd told = end;
  std::string why = reason;
  if (job->given_up.has_value()) {
    if (end != GangEnd::kDone) {
      // That it failed may be for having been killed.
      if (end != GangEnd::kOutOfMemory) end = *job->given_up;
      // Why it was given up, and what it died of: that may be why.
      why = reason.empty() ? job->reason
                           : absl::StrCat(job->reason, "; ", reason);
    }
    job->given_up.reset();
  }
  ClearDeadline(id);
  const bool cancelling = job->state == JobState::kCancelling;
  if (end == GangEnd::kDone) {
    Go(*job, JobState::kSucceeded, JobCause::kFinished, "", now, effects);
  } else if (cancelling) {
    Go(*job, JobState::kCancelled, JobCause::kNothingToEnd,
       told == GangEnd::kStopped
           ? job->reason
           : absl::StrCat(job->reason, "; its gang did not save: ", reason),
       now, effects);
  } else if (end == GangEnd::kFailed || end == GangEnd::kOutOfMemory) {
    Go(*job, JobState::kFailed, JobCause::kGaveUp, why, now, effects);
  } else if (end == GangEnd::kStopped) {
    // Not at once: whoever stopped it may mean it.
    job->not_before = now + limits_.first_back_off;
    Go(*job, JobState::kPreempted, JobCause::kStopped, why, now, effects);
  } else {
    RetryOrFail(*job, why, now, effects);
  }
  if (IsFinal(job->state)) TellDependents(id, now, effects);
  StartReady(now, effects);
}

void CoordinatorState::RetryOrFail(JobRecord& job, const std::string& reason,
                                   absl::Time now, Effects* effects) {
  if (job.retries >= job.request.max_retries) {
    Go(job, JobState::kFailed, JobCause::kGaveUp,
       job.retries == 0 ? reason
                        : absl::StrCat(reason, " (after ", job.retries,
                                       job.retries == 1 ? " retry" : " retries",
                                       " without a step)"),
       now, effects);
    return;
  }
  absl::Duration wait = limits_.first_back_off;
  for (int64_t i = 0; i < job.retries && wait < limits_.longest_back_off; ++i) {
    wait *= 2;
  }
  ++job.retries;
  job.not_before = now + std::min(wait, limits_.longest_back_off);
  Go(job, JobState::kRetrying, JobCause::kLost, reason, now, effects);
}

void CoordinatorState::HearAnew(absl::Time now) {
  for (const JobId id : counts_.holders()) {
    const JobRecord& job = jobs_.at(id);
    if (deadlines_.at(id).second == Deadline::kHeard) {
      SetDeadline(id, Deadline::kHeard, now + PatienceWith(job));
    } else if (job.state == JobState::kCancelling &&
               !job.given_up.has_value()) {
      // It may have been stopped as well, in the middle of saving.
      SetDeadline(id, Deadline::kKill, now + limits_.stop_grace);
    }
  }
}

}  // namespace caracal
