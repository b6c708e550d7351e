#include "jobs/coordinator/state/coordinator_state.h"

#include <algorithm>
#include <optional>

#include "absl/strings/str_cat.h"
#include "core/base/status.h"
#include "jobs/coordinator/state/job_spec.h"
#include "jobs/spec/problem.h"
#include "kernels/common/check.h"

namespace caracal {
namespace {

// Orders to end a gang are given again until it is known to have ended.
constexpr absl::Duration kKillAgain = absl::Seconds(30);
constexpr absl::Duration kForgetLater = absl::Hours(1);
// A tick that is late by this part of the heartbeat time-out comes of a process
// that was stopped; a busy machine delays it less.
constexpr int64_t kLatePart = 4;
// So that neither slots nor priorities overflow when they are added up.
constexpr int64_t kMost = 1 << 20;
constexpr int64_t kMostLines = int64_t{1} << 40;

absl::Status NoSuchJob(JobId id) {
  return absl::NotFoundError(absl::StrCat("there is no job ", id));
}

// Steps that are directed at a time.
constexpr int64_t kWindow = 256;

// That a job remembers.
constexpr size_t kMostKeys = 16;

std::string KeyOfChange(const char* change, const std::string& key) {
  return absl::StrCat(change, " ", key);
}

// Whether this very change was made before.
bool WasDone(const JobRecord& job, const char* change, const std::string& key) {
  return !key.empty() &&
         std::find(job.change_keys.begin(), job.change_keys.end(),
                   KeyOfChange(change, key)) != job.change_keys.end();
}

void Remember(JobRecord& job, const char* change, const std::string& key,
              Effects* effects) {
  if (key.empty()) return;
  if (job.change_keys.size() >= kMostKeys) {
    job.change_keys.erase(job.change_keys.begin());
  }
  job.change_keys.push_back(KeyOfChange(change, key));
  effects->saved.push_back(job.id);
}

Problem TooManySlots(int64_t slots, int64_t have) {
  return {"threads",
          absl::StrCat("the job takes ", slots,
                       " slots (threads of all ranks), but this coordinator "
                       "has ",
                       have),
          ""};
}

}  // namespace

CoordinatorState::CoordinatorState(const CoordinatorLimits& limits)
    : limits_(limits) {
  CARACAL_CHECK(limits.slots >= 1) << limits.slots << " slots";
}

void CoordinatorState::Recover(std::vector<JobRecord> jobs, JobId next_id,
                               absl::Time now, Effects* effects) {
  CARACAL_CHECK(jobs_.empty()) << "the first event";
  next_id_ = next_id;
  for (JobRecord& record : jobs) {
    CARACAL_CHECK(record.id < next_id) << "job " << record.id;
    const JobId id = record.id;
    const JobRecord& job = jobs_[id] = std::move(record);
    const JobRequest& request = job.request;
    if (!request.idempotency_key.empty()) {
      keys_[{request.owner, request.idempotency_key}] = id;
    }
    Count(job, 1);
    if (HoldsSlots(job.state)) {
      effects->orders.push_back({GangOrderKind::kFind, id, job.epoch});
    }
    const auto set = [&](Deadline what, absl::Duration after) {
      SetDeadline(id, what, now + after);
    };
    if (job.given_up.has_value() || job.state == JobState::kCancelling) {
      effects->orders.push_back({job.given_up.has_value()
                                     ? GangOrderKind::kKill
                                     : GangOrderKind::kStop,
                                 id, job.epoch});
      set(Deadline::kKill, limits_.stop_grace);
    } else if (HoldsSlots(job.state)) {
      set(Deadline::kHeard, PatienceWith(job));
    } else if (IsFinal(job.state) &&
               limits_.retention < absl::InfiniteDuration()) {
      SetDeadline(id, Deadline::kForget, job.changed + limits_.retention);
    }
  }
  for (const auto& [id, job] : jobs_) Index(job, now);
  StartReady(now, effects);
}

absl::Status CoordinatorState::CheckRequest(
    const JobRequest& request, std::vector<Problem>* problems) const {
  if (!request.idempotency_key.empty() &&
      keys_.contains({request.owner, request.idempotency_key})) {
    return absl::OkStatus();
  }
  const size_t before = problems->size();
  absl::StatusCode code = absl::StatusCode::kInvalidArgument;
  const auto refuse = [&](const char* field, std::string message) {
    problems->push_back({field, std::move(message), ""});
  };
  if (request.slots < 1 || request.slots > limits_.slots) {
    problems->push_back(TooManySlots(request.slots, limits_.slots));
  }
  if (request.max_retries < 0 || request.max_retries > kMost) {
    refuse("max_retries",
           absl::StrCat("is ", request.max_retries, ", must be 0 to ", kMost));
  }
  if (request.priority < -kMost || request.priority > kMost) {
    refuse("priority", absl::StrCat("is ", request.priority, ", must be ",
                                    -kMost, " to ", kMost));
  }
  for (const JobId id : request.after) {
    const JobRecord* job = Find(id);
    if (job == nullptr) {
      code = absl::StatusCode::kNotFound;
      refuse("after", absl::StrCat("there is no job ", id));
    } else if (IsFinal(job->state) && job->state != JobState::kSucceeded) {
      code = absl::StatusCode::kFailedPrecondition;
      refuse("after",
             absl::StrCat("job ", id, " has ended as ", WordOf(job->state)));
    }
  }
  switch (problems->size() - before) {
    case 0:
      return absl::OkStatus();
    case 1:
      return absl::Status(code, problems->back().ToString());
  }
  return ProblemsToStatus(
      {problems->begin() + static_cast<int64_t>(before), problems->end()},
      "job");
}

absl::StatusOr<JobId> CoordinatorState::Submit(const JobRequest& request,
                                               absl::Time now,
                                               Effects* effects) {
  const std::pair<std::string, std::string> key = {request.owner,
                                                   request.idempotency_key};
  if (const auto known = keys_.find(key);
      !key.second.empty() && known != keys_.end()) {
    // Later changes of its priority don't make it another request.
    JobRequest then = jobs_.at(known->second).request;
    then.priority = request.priority;
    if (then == request) return known->second;
    return absl::AlreadyExistsError(
        absl::StrCat("the idempotency key was used for job ", known->second,
                     ", which is another one"));
  }
  std::vector<Problem> problems;
  RETURN_IF_ERROR(CheckRequest(request, &problems));
  RETURN_IF_ERROR(CheckRoom(request.owner));
  const JobId id = next_id_++;
  JobRecord& job = jobs_[id];
  job.id = id;
  job.request = request;
  job.submitted = job.changed = now;
  for (const JobId other : request.after) {
    if (jobs_.at(other).state != JobState::kSucceeded) {
      job.waits_for.push_back(other);
    }
  }
  Count(job, 1);
  if (!key.second.empty()) keys_[key] = id;
  effects->saved.push_back(id);
  effects->transitions.push_back(
      {id, JobState::kQueued, JobState::kQueued, JobCause::kSubmitted, ""});
  Index(job, now);
  StartReady(now, effects);
  return id;
}

absl::Status CoordinatorState::Cancel(JobId id, const std::string& who,
                                      absl::Time now, Effects* effects,
                                      const std::string& idempotency_key) {
  JobRecord* job = FindMutable(id);
  if (job == nullptr) return NoSuchJob(id);
  if (WasDone(*job, "cancel", idempotency_key)) return absl::OkStatus();
  Remember(*job, "cancel", idempotency_key, effects);
  if (IsFinal(job->state) || job->state == JobState::kCancelling) {
    return absl::OkStatus();
  }
  const std::string reason = absl::StrCat("cancelled by ", who);
  if (Waits(job->state)) {
    Go(*job, JobState::kCancelled, JobCause::kCancel, reason, now, effects);
    TellDependents(id, now, effects);
    StartReady(now, effects);
    return absl::OkStatus();
  }
  Go(*job, JobState::kCancelling, JobCause::kCancel, reason, now, effects);
  if (!job->given_up.has_value()) {
    effects->orders.push_back({GangOrderKind::kStop, id, job->epoch});
  }
  SetDeadline(id, Deadline::kKill, now + limits_.stop_grace);
  return absl::OkStatus();
}

absl::Status CoordinatorState::Resume(JobId id,
                                      const std::string& idempotency_key,
                                      absl::Time now, Effects* effects) {
  JobRecord* job = FindMutable(id);
  if (job == nullptr) return NoSuchJob(id);
  if (WasDone(*job, "resume", idempotency_key)) return absl::OkStatus();
  if (job->state != JobState::kFailed && job->state != JobState::kCancelled) {
    return absl::FailedPreconditionError(
        absl::StrCat("job ", id, " is ", WordOf(job->state),
                     "; what is resumed has failed or was cancelled"));
  }
  if (job->request.slots > limits_.slots) {
    return absl::InvalidArgumentError(
        TooManySlots(job->request.slots, limits_.slots).ToString());
  }
  std::vector<JobId> waits_for;
  for (const JobId other : job->waits_for) {
    const JobRecord* record = Find(other);
    if (record == nullptr ||
        (IsFinal(record->state) && record->state != JobState::kSucceeded)) {
      return absl::FailedPreconditionError(absl::StrCat(
          "job ", id, " comes after job ", other, ", which ",
          record == nullptr
              ? "is gone"
              : absl::StrCat("has ended as ", WordOf(record->state))));
    }
    if (record->state != JobState::kSucceeded) waits_for.push_back(other);
  }
  RETURN_IF_ERROR(CheckRoom(job->request.owner));
  job->waits_for = std::move(waits_for);
  Remember(*job, "resume", idempotency_key, effects);
  job->retries = 0;
  ClearDeadline(id);
  Go(*job, JobState::kQueued, JobCause::kResumed, "", now, effects);
  StartReady(now, effects);
  return absl::OkStatus();
}

absl::Status CoordinatorState::Remove(JobId id, Effects* effects) {
  const JobRecord* job = Find(id);
  if (job == nullptr) {
    // Of a number that was given out it is gone, perhaps by this very call,
    // made again; no other number can be meant.
    if (id > 0 && id < next_id_) return absl::OkStatus();
    return absl::NotFoundError(absl::StrCat("there is no job ", id));
  }
  if (!IsFinal(job->state)) {
    return absl::FailedPreconditionError(absl::StrCat(
        "job ", id, " is ", WordOf(job->state), "; cancel it first"));
  }
  if (const auto waiting = dependents_.find(id); waiting != dependents_.end()) {
    return absl::FailedPreconditionError(
        absl::StrCat("job ", *waiting->second.begin(), " comes after job ", id,
                     " and waits for it"));
  }
  Forget(id, effects);
  return absl::OkStatus();
}

absl::Status CoordinatorState::SetPriority(JobId id, int64_t priority,
                                           absl::Time now, Effects* effects,
                                           const std::string& idempotency_key) {
  JobRecord* job = FindMutable(id);
  if (job == nullptr) return NoSuchJob(id);
  if (WasDone(*job, "priority", idempotency_key)) return absl::OkStatus();
  if (priority < -kMost || priority > kMost) {
    return absl::InvalidArgumentError(absl::StrCat(
        "priority is ", priority, ", expected ", -kMost, " to ", kMost));
  }
  Remember(*job, "priority", idempotency_key, effects);
  if (job->request.priority == priority) return absl::OkStatus();
  ready_.erase(KeyOf(*job));
  job->request.priority = priority;
  effects->saved.push_back(id);
  Index(*job, now);
  StartReady(now, effects);
  return absl::OkStatus();
}

absl::Status CoordinatorState::Tune(JobId id, const Tuning& tuning,
                                    const std::string& idempotency_key,
                                    Effects* effects) {
  JobRecord* job = FindMutable(id);
  if (job == nullptr) return NoSuchJob(id);
  if (WasDone(*job, "tune", idempotency_key)) return absl::OkStatus();
  if (IsFinal(job->state)) {
    return absl::FailedPreconditionError(absl::StrCat(
        "job ", id, " is ", WordOf(job->state), "; there is nothing to tune"));
  }
  ASSIGN_OR_RETURN(const proto::Job spec, ReadSpec(job->request.spec.str()));
  RETURN_IF_ERROR(CheckTuning(spec, tuning));
  Remember(*job, "tune", idempotency_key, effects);
  job->tuning = tuning;
  ++job->tunings;
  effects->saved.push_back(id);
  effects->tuned.push_back({id, tuning});
  return absl::OkStatus();
}

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
  for (const JobId id : holders_) {
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
      end = *job->given_up;
      why = job->reason;
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
  } else if (end == GangEnd::kFailed) {
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
  for (const JobId id : holders_) {
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

void CoordinatorState::Tick(absl::Time now, Effects* effects,
                            absl::Time planned) {
  if (now - planned >= limits_.heartbeat_timeout / kLatePart) HearAnew(now);
  while (!due_.empty() && due_.begin()->first <= now) {
    const JobId id = due_.begin()->second;
    const Deadline what = deadlines_.at(id).second;
    ClearDeadline(id);
    Due(id, what, now, effects);
  }
  StartReady(now, effects);
}

void CoordinatorState::Due(JobId id, Deadline what, absl::Time now,
                           Effects* effects) {
  JobRecord& job = jobs_.at(id);
  switch (what) {
    case Deadline::kBackOff:
      Index(job, now);
      break;
    case Deadline::kHeard:
      if (job.state == JobState::kLaunching && cluster_silent_) {
        SetDeadline(id, Deadline::kHeard, now + PatienceWith(job));
        break;
      }
      GiveUp(job, GangEnd::kLost,
             absl::StrCat("its gang was not heard of for ",
                          absl::FormatDuration(PatienceWith(job))),
             now, effects);
      break;
    case Deadline::kKill:
      effects->orders.push_back({GangOrderKind::kKill, id, job.epoch});
      SetDeadline(id, Deadline::kKill, now + kKillAgain);
      break;
    case Deadline::kForget:
      if (dependents_.contains(id)) {
        SetDeadline(id, Deadline::kForget, now + kForgetLater);
      } else {
        Forget(id, effects);
      }
      break;
  }
}

void CoordinatorState::GiveUp(JobRecord& job, GangEnd end,
                              const std::string& reason, absl::Time now,
                              Effects* effects) {
  job.given_up = end;
  job.reason = reason;
  effects->saved.push_back(job.id);
  effects->orders.push_back({GangOrderKind::kKill, job.id, job.epoch});
  SetDeadline(job.id, Deadline::kKill, now + kKillAgain);
}

absl::Time CoordinatorState::NextTick() const {
  return due_.empty() ? absl::InfiniteFuture() : due_.begin()->first;
}

const JobRecord* CoordinatorState::Find(JobId id) const {
  const auto job = jobs_.find(id);
  return job == jobs_.end() ? nullptr : &job->second;
}

JobRecord* CoordinatorState::FindMutable(JobId id) {
  return const_cast<JobRecord*>(Find(id));
}

absl::StatusOr<JobRecord*> CoordinatorState::FindGang(JobId id,
                                                      uint64_t epoch) {
  JobRecord* job = FindMutable(id);
  if (job == nullptr) return NoSuchJob(id);
  if (job->epoch != epoch || !HoldsSlots(job->state) ||
      job->given_up.has_value()) {
    return absl::AbortedError(absl::StrCat(
        "gang ", epoch, " of job ", id, " was given up: the job is ",
        WordOf(job->state),
        job->epoch == epoch ? "" : absl::StrCat(", with gang ", job->epoch)));
  }
  return job;
}

void CoordinatorState::Go(JobRecord& job, JobState to, JobCause cause,
                          const std::string& reason, absl::Time now,
                          Effects* effects) {
  const JobState from = job.state;
  CARACAL_CHECK(MayGo(from, to, cause))
      << "job " << job.id << " from " << NameOf(from) << " to " << NameOf(to)
      << " because " << NameOf(cause);
  Count(job, -1);
  job.state = to;
  Count(job, 1);
  job.reason = reason;
  job.changed = now;
  if (IsFinal(to)) {
    directed_.erase(job.id);
    ClearDeadline(job.id);
    if (limits_.retention < absl::InfiniteDuration()) {
      SetDeadline(job.id, Deadline::kForget, now + limits_.retention);
    }
  }
  effects->saved.push_back(job.id);
  effects->transitions.push_back({job.id, from, to, cause, reason});
  Index(job, now);
}

void CoordinatorState::TellDependents(JobId id, absl::Time now,
                                      Effects* effects) {
  // A chain of jobs may be long: no recursion.
  std::vector<JobId> ended = {id};
  while (!ended.empty()) {
    const JobId end = ended.back();
    ended.pop_back();
    const auto found = dependents_.find(end);
    if (found == dependents_.end()) continue;
    const std::set<JobId> waiting = std::move(found->second);
    dependents_.erase(found);
    const JobState as = jobs_.at(end).state;
    for (const JobId other : waiting) {
      JobRecord& job = jobs_.at(other);
      if (as == JobState::kSucceeded) {
        std::erase(job.waits_for, end);
        effects->saved.push_back(other);
        Index(job, now);
      } else {
        Go(job, JobState::kFailed, JobCause::kBlocked,
           absl::StrCat("job ", end, ", which it comes after, has ended as ",
                        WordOf(as)),
           now, effects);
        ended.push_back(other);
      }
    }
  }
}

void CoordinatorState::Index(const JobRecord& job, absl::Time now) {
  const bool queued = job.state == JobState::kQueued;
  for (const JobId other : job.waits_for) {
    if (queued) {
      dependents_[other].insert(job.id);
    } else if (const auto found = dependents_.find(other);
               found != dependents_.end()) {
      found->second.erase(job.id);
      if (found->second.empty()) dependents_.erase(found);
    }
  }
  const bool due = queued ? job.waits_for.empty()
                          : Waits(job.state) && job.not_before <= now;
  if (due) {
    ready_.insert(KeyOf(job));
  } else {
    ready_.erase(KeyOf(job));
    if (Waits(job.state) && !queued) {
      SetDeadline(job.id, Deadline::kBackOff, job.not_before);
    }
  }
}

void CoordinatorState::StartReady(absl::Time now, Effects* effects) {
  for (auto next = ready_.begin(); next != ready_.end();) {
    JobRecord& job = jobs_.at(next->second);
    ++next;  // before the job leaves
    // Submitted when there were more: it can't be waited for.
    if (job.request.slots > limits_.slots) continue;
    if (used_slots_ + job.request.slots > limits_.slots) return;
    ++job.epoch;
    job.lines = 0;
    job.hosts.clear();
    job.step_at_start = job.progress.global_step;
    ClearDeadline(job.id);
    Go(job, JobState::kLaunching, JobCause::kStarted, "", now, effects);
    effects->orders.push_back({GangOrderKind::kStart, job.id, job.epoch});
    SetDeadline(job.id, Deadline::kHeard, now + limits_.start_timeout);
  }
}

void CoordinatorState::SetDeadline(JobId id, Deadline what, absl::Time when) {
  ClearDeadline(id);
  deadlines_[id] = {when, what};
  due_.insert({when, id});
}

void CoordinatorState::ClearDeadline(JobId id) {
  const auto found = deadlines_.find(id);
  if (found == deadlines_.end()) return;
  due_.erase({found->second.first, id});
  deadlines_.erase(found);
}

void CoordinatorState::Forget(JobId id, Effects* effects) {
  const JobRequest& request = jobs_.at(id).request;
  if (!request.idempotency_key.empty()) {
    keys_.erase({request.owner, request.idempotency_key});
  }
  ClearDeadline(id);
  Count(jobs_.at(id), -1);
  jobs_.erase(id);
  effects->removed.push_back(id);
}

absl::Status CoordinatorState::CheckRoom(const std::string& owner) const {
  const auto of_user = waiting_.find(owner);
  const int64_t waiting = of_user == waiting_.end() ? 0 : of_user->second;
  if (limits_.most_waiting_of_user > 0 &&
      waiting >= limits_.most_waiting_of_user) {
    return absl::ResourceExhaustedError(absl::StrCat(
        owner, " has ", waiting, " jobs that wait, and at most ",
        limits_.most_waiting_of_user,
        " of one user are accepted here: cancel some, or try again when some "
        "have started"));
  }
  int64_t unfinished = 0;
  for (int i = 0; i < kJobStates; ++i) {
    if (!IsFinal(static_cast<JobState>(i))) unfinished += counts_[i];
  }
  if (limits_.most_unfinished > 0 && unfinished >= limits_.most_unfinished) {
    return absl::ResourceExhaustedError(absl::StrCat(
        "all users together have ", unfinished,
        " jobs that have not ended, and at most ", limits_.most_unfinished,
        " are accepted here: try again when some have ended"));
  }
  return absl::OkStatus();
}

void CoordinatorState::Count(const JobRecord& job, int64_t by) {
  counts_[static_cast<int>(job.state)] += by;
  if (Waits(job.state) && (waiting_[job.request.owner] += by) == 0) {
    waiting_.erase(job.request.owner);
  }
  if (!HoldsSlots(job.state)) return;
  used_slots_ += by * job.request.slots;
  if (by > 0) {
    holders_.insert(job.id);
  } else {
    holders_.erase(job.id);
  }
}

void CoordinatorState::CheckInvariants() const {
  int64_t used = 0;
  std::array<int64_t, kJobStates> counts = {};
  std::set<JobId> holders;
  std::map<std::string, int64_t> of_users;
  std::map<JobId, std::set<JobId>> waiting;
  for (const auto& [id, job] : jobs_) {
    CARACAL_CHECK(id == job.id && id < next_id_) << "job " << id;
    ++counts[static_cast<int>(job.state)];
    if (Waits(job.state)) ++of_users[job.request.owner];
    if (HoldsSlots(job.state)) {
      used += job.request.slots;
      holders.insert(id);
      CARACAL_CHECK(job.epoch > 0) << "job " << id << " has no gang";
      CARACAL_CHECK(deadlines_.contains(id))
          << "nobody would miss the gang of job " << id;
    } else {
      CARACAL_CHECK(!job.given_up.has_value()) << "job " << id;
    }
    const bool ready = ready_.contains(KeyOf(job));
    CARACAL_CHECK(!ready || Waits(job.state)) << "job " << id;
    if (job.state == JobState::kQueued) {
      CARACAL_CHECK(ready == job.waits_for.empty()) << "job " << id;
      for (const JobId other : job.waits_for) {
        const JobRecord* awaited = Find(other);
        CARACAL_CHECK(awaited != nullptr && !IsFinal(awaited->state))
            << "job " << id << " waits for job " << other << " for ever";
        waiting[other].insert(id);
      }
    } else if (Waits(job.state)) {
      const auto deadline = deadlines_.find(id);
      CARACAL_CHECK(ready || deadline != deadlines_.end())
          << "job " << id << " would never start";
    }
    CARACAL_CHECK(job.retries <= job.request.max_retries) << "job " << id;
    if (!job.request.idempotency_key.empty()) {
      CARACAL_CHECK(
          keys_.at({job.request.owner, job.request.idempotency_key}) == id)
          << "job " << id;
    }
  }
  CARACAL_CHECK(used == used_slots_) << used << " slots, not " << used_slots_;
  CARACAL_CHECK(counts == counts_) << "jobs by state";
  CARACAL_CHECK(holders == holders_) << "who holds slots";
  CARACAL_CHECK(of_users == waiting_) << "jobs that wait, by user";
  CARACAL_CHECK(waiting == dependents_) << "who waits for whom";
  CARACAL_CHECK(due_.size() == deadlines_.size()) << "deadlines";
}

}  // namespace caracal
