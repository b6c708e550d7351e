// What is kept of all jobs, and what time brings.
#include "jobs/coordinator/state/coordinator_state.h"

#include <algorithm>
#include <optional>

#include "absl/strings/str_cat.h"
#include "core/base/status.h"
#include "jobs/coordinator/state/job_spec.h"
#include "kernels/common/check.h"

namespace caracal {
namespace {

// Orders to end a gang are given again until it is known to have ended.
constexpr absl::Duration kKillAgain = absl::Seconds(30);
constexpr absl::Duration kForgetLater = absl::Hours(1);
// A tick that is late by this part of the heartbeat time-out comes of a process
// that was stopped; a busy machine delays it less.
constexpr int64_t kLatePart = 4;

}  // namespace

absl::Status CoordinatorState::NoSuchJob(JobId id) {
  return absl::NotFoundError(absl::StrCat("there is no job ", id));
}

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
    if (counts_.used_slots() + job.request.slots > limits_.slots) return;
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

void CoordinatorState::Count(const JobRecord& job, int64_t by) {
  counts_.Count(job, by);
  if (Waits(job.state) && (waiting_[job.request.owner] += by) == 0) {
    waiting_.erase(job.request.owner);
  }
}

void CoordinatorState::CheckInvariants() const {
  JobCounts counts;
  std::map<std::string, int64_t> of_users;
  std::map<JobId, std::set<JobId>> waiting;
  for (const auto& [id, job] : jobs_) {
    CARACAL_CHECK(id == job.id && id < next_id_) << "job " << id;
    counts.Count(job, 1);
    if (Waits(job.state)) ++of_users[job.request.owner];
    if (HoldsSlots(job.state)) {
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
  CARACAL_CHECK(counts == counts_) << "jobs by state, and who holds slots";
  CARACAL_CHECK(of_users == waiting_) << "jobs that wait, by user";
  CARACAL_CHECK(waiting == dependents_) << "who waits for whom";
  CARACAL_CHECK(due_.size() == deadlines_.size()) << "deadlines";
}

}  // namespace caracal
