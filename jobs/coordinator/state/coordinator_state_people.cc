// What people ask of the coordinator.
#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/base/status.h"
#include "jobs/coordinator/state/coordinator_state.h"
#include "jobs/coordinator/state/job_spec.h"
#include "jobs/spec/problem.h"
#include "kernels/common/check.h"

namespace caracal {
namespace {

// So that neither slots nor priorities overflow when they are added up.
constexpr int64_t kMost = 1 << 20;

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
    if (jobs_.at(other).state != JobState::kSucceeded &&
        std::ranges::find(job.waits_for, other) == job.waits_for.end()) {
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
    return absl::FailedPreconditionError(
        absl::StrCat("job ", id, " is ", WordOf(job->state),
                     job->state == JobState::kCancelling
                         ? ": it saves, and can be removed when it has ended"
                         : "; cancel it first"));
  }
  if (const auto waiting = dependents_.find(id); waiting != dependents_.end()) {
    return absl::FailedPreconditionError(
        absl::StrCat("job ", *waiting->second.begin(), " comes after job ", id,
                     " and waits for it"));
  }
  Forget(id, effects);
  return absl::OkStatus();
}

std::string CoordinatorState::WaitsFor(JobId id) const {
  const JobRecord* const job = Find(id);
  if (job == nullptr || !Waits(job->state)) return "";
  if (job->state == JobState::kQueued && !job->waits_for.empty()) {
    return absl::StrCat("after ", absl::StrJoin(job->waits_for, ", "));
  }
  const int64_t slots = job->request.slots;
  if (slots > limits_.slots) {
    return absl::StrCat("needs ", slots, " slots, but there are ",
                        limits_.slots, " (--slots of caracald)");
  }
  if (!ready_.contains(KeyOf(*job))) return "";
  const int64_t free = limits_.slots - counts_.used_slots();
  for (const Key& key : ready_) {
    const JobRecord& first = jobs_.at(key.second);
    if (first.request.slots > limits_.slots) continue;
    const std::string what = absl::StrCat(
        "waits for ", first.request.slots,
        first.request.slots == 1 ? " slot" : " slots", "; ", free, " of ",
        limits_.slots, free == 1 ? " is free" : " are free");
    if (first.id == id) return what;
    return absl::StrCat("its turn is after job ", first.id, ", which ", what);
  }
  return "";
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
  if (IsFinal(job->state)) {
    return absl::FailedPreconditionError(
        absl::StrCat("job ", id, " is ", WordOf(job->state),
                     "; it waits for nothing that a priority changes"));
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
    if (!IsFinal(static_cast<JobState>(i))) unfinished += counts_.by_state()[i];
  }
  if (limits_.most_unfinished > 0 && unfinished >= limits_.most_unfinished) {
    return absl::ResourceExhaustedError(absl::StrCat(
        "all users together have ", unfinished,
        " jobs that have not ended, and at most ", limits_.most_unfinished,
        " are accepted here: try again when some have ended"));
  }
  return absl::OkStatus();
}

}  // namespace caracal
