#include "jobs/coordinator/evaluation/evaluation_state.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/status.h"
#include "kernels/common/check.h"

namespace caracal {
namespace {

// A tick that is late by this part of a lease comes of a process that was
// stopped; a busy machine delays it less.
constexpr int64_t kLatePart = 4;

absl::Status NoSuchEvaluation(EvaluationId id) {
  return absl::NotFoundError(absl::StrCat("there is no evaluation ", id));
}

std::string Text(const PartLease& lease) {
  return absl::StrCat("part ", lease.part, " of evaluation ", lease.evaluation);
}

}  // namespace

void EvaluationState::Recover(std::vector<EvaluationRecord> evaluations,
                              EvaluationId next_id, absl::Time now) {
  next_id_ = next_id;
  for (EvaluationRecord& record : evaluations) {
    const EvaluationId id = record.id;
    evaluations_[id] = std::move(record);
    Index(evaluations_[id], now);
  }
}

void EvaluationState::Index(const EvaluationRecord& evaluation,
                            absl::Time now) {
  const EvaluationId id = evaluation.id;
  const EvaluationRequest& request = evaluation.request;
  if (!request.idempotency_key.empty()) {
    keys_[{request.owner, request.idempotency_key}] = id;
  }
  if (IsFinal(evaluation.phase)) {
    ended_.emplace(evaluation.changed, id);
    return;
  }
  ++active_[request.owner];
  std::set<int64_t>& pending = pending_[id];
  int64_t& undone = undone_[id];
  for (size_t i = 0; i < evaluation.parts.size(); ++i) {
    const auto part = static_cast<int64_t>(i);
    switch (evaluation.parts[i].state) {
      case PartState::kPending:
        pending.insert(part);
        ++undone;
        break;
      case PartState::kLeased:
        SetLease({id, part}, now + limits_.lease);
        ++undone;
        break;
      case PartState::kDone:
        break;
    }
  }
}

absl::StatusOr<EvaluationId> EvaluationState::Create(
    const EvaluationRequest& request, absl::Time now,
    EvaluationChanges* changes) {
  if (!request.idempotency_key.empty()) {
    const auto known = keys_.find({request.owner, request.idempotency_key});
    if (known != keys_.end()) {
      if (evaluations_.at(known->second).request == request) {
        return known->second;
      }
      return absl::AlreadyExistsError(absl::StrCat(
          "idempotency_key: was used for another evaluation, ", known->second));
    }
  }
  const auto active = active_.find(request.owner);
  if (active != active_.end() && active->second >= limits_.most_active) {
    return absl::ResourceExhaustedError(
        absl::StrCat("you have ", active->second,
                     " evaluations that have not ended: wait for some"));
  }
  const EvaluationId id = next_id_++;
  EvaluationRecord& record = evaluations_[id];
  record.id = id;
  record.request = request;
  record.created = record.changed = now;
  Index(record, now);
  changes->saved.insert(id);
  changes->parts.insert({id, 0});
  return id;
}

absl::Status EvaluationState::Cancel(EvaluationId id, const std::string& who,
                                     absl::Time now,
                                     EvaluationChanges* changes) {
  const auto found = evaluations_.find(id);
  if (found == evaluations_.end()) return NoSuchEvaluation(id);
  if (!IsFinal(found->second.phase)) {
    Go(found->second, EvaluationPhase::kCancelled,
       absl::StrCat("cancelled by ", who), now, changes);
  }
  return absl::OkStatus();
}

std::optional<PartLease> EvaluationState::Lease(const WorkerInfo& worker,
                                                absl::Time now,
                                                EvaluationChanges* changes) {
  const auto suits = [&](EvaluationId id, const std::set<int64_t>& pending) {
    const EvaluationRecord& record = evaluations_.at(id);
    return !pending.empty() &&
           (worker.owner.empty() || worker.owner == record.request.owner) &&
           (record.version.empty() || worker.version == record.version);
  };
  auto chosen = pending_.find(worker.prefers);
  if (chosen == pending_.end() || !suits(chosen->first, chosen->second)) {
    chosen = pending_.begin();
    while (chosen != pending_.end() && !suits(chosen->first, chosen->second)) {
      ++chosen;
    }
  }
  if (chosen == pending_.end()) return std::nullopt;
  const EvaluationId id = chosen->first;
  const int64_t number = *chosen->second.begin();
  chosen->second.erase(chosen->second.begin());
  PartRecord& part = evaluations_.at(id).parts[number];
  part.state = PartState::kLeased;
  part.worker = worker.name;
  ++part.lease;
  SetLease({id, number}, now + limits_.lease);
  changes->parts.insert({id, number});
  return PartLease{id, number, part.lease};
}

absl::StatusOr<PartRecord*> EvaluationState::FindToComplete(
    const PartLease& lease) {
  const auto found = evaluations_.find(lease.evaluation);
  if (found == evaluations_.end()) return NoSuchEvaluation(lease.evaluation);
  EvaluationRecord& record = found->second;
  if (lease.part < 0 ||
      lease.part >= static_cast<int64_t>(record.parts.size())) {
    return absl::NotFoundError(absl::StrCat("there is no ", Text(lease)));
  }
  PartRecord& part = record.parts[lease.part];
  if (part.lease == lease.lease && part.state == PartState::kDone) {
    return nullptr;
  }
  if (IsFinal(record.phase)) {
    return absl::AbortedError(absl::StrCat("evaluation ", lease.evaluation,
                                           " has ", NameOf(record.phase)));
  }
  if (part.lease != lease.lease || part.state != PartState::kLeased) {
    return absl::AbortedError(absl::StrCat(
        "the lease of ", Text(lease), " ran out, and is not yours any more"));
  }
  return &part;
}

absl::StatusOr<PartRecord*> EvaluationState::FindLeased(
    const PartLease& lease) {
  ASSIGN_OR_RETURN(PartRecord * part, FindToComplete(lease));
  if (part != nullptr) return part;
  return absl::AbortedError(absl::StrCat(Text(lease), " is done"));
}

absl::Status EvaluationState::Renew(const PartLease& lease, absl::Time now) {
  RETURN_IF_ERROR(FindLeased(lease).status());
  SetLease({lease.evaluation, lease.part}, now + limits_.lease);
  return absl::OkStatus();
}

absl::StatusOr<bool> EvaluationState::Complete(const PartLease& lease,
                                               absl::Time now,
                                               EvaluationChanges* changes) {
  if (lease.part == 0) {
    return absl::InvalidArgumentError("part 0 is a plan, and this is none");
  }
  ASSIGN_OR_RETURN(PartRecord * part, FindToComplete(lease));
  if (part == nullptr) return false;
  Done(lease, part, now, changes);
  return true;
}

absl::StatusOr<bool> EvaluationState::CompletePlan(const PartLease& lease,
                                                   int64_t parts,
                                                   const std::string& version,
                                                   absl::Time now,
                                                   EvaluationChanges* changes) {
  if (lease.part != 0) {
    return absl::InvalidArgumentError(
        absl::StrCat(Text(lease), " is no plan, and this is one"));
  }
  ASSIGN_OR_RETURN(PartRecord * part, FindToComplete(lease));
  if (part == nullptr) return false;
  if (parts < 1 || parts > limits_.most_parts) {
    return absl::InvalidArgumentError(absl::StrCat(
        "a plan of ", parts, " parts; expected 1 to ", limits_.most_parts,
        ": part_rows sets how large they are"));
  }
  EvaluationRecord& record = evaluations_.at(lease.evaluation);
  record.version = version;
  record.parts.resize(parts + 1);
  for (int64_t i = 1; i <= parts; ++i) {
    pending_[record.id].insert(i);
    changes->parts.insert({record.id, i});
  }
  undone_[record.id] += parts;
  Go(record, EvaluationPhase::kMeasuring, "", now, changes);
  // Its place moved.
  Done(lease, &record.parts[0], now, changes);
  return true;
}

void EvaluationState::Done(const PartLease& lease, PartRecord* part,
                           absl::Time now, EvaluationChanges* changes) {
  part->state = PartState::kDone;
  ClearLease({lease.evaluation, lease.part});
  changes->parts.insert({lease.evaluation, lease.part});
  if (--undone_.at(lease.evaluation) > 0) return;
  Go(evaluations_.at(lease.evaluation), EvaluationPhase::kSucceeded, "", now,
     changes);
}

absl::Status EvaluationState::Fail(const PartLease& lease, bool for_good,
                                   bool released, const std::string& message,
                                   absl::Time now, EvaluationChanges* changes) {
  RETURN_IF_ERROR(FindLeased(lease).status());
  if (for_good) {
    Go(evaluations_.at(lease.evaluation), EvaluationPhase::kFailed, message,
       now, changes);
  } else {
    GiveBack({lease.evaluation, lease.part}, !released, message, now, changes);
  }
  return absl::OkStatus();
}

void EvaluationState::GiveBack(const PartKey& key, bool counts,
                               const std::string& why, absl::Time now,
                               EvaluationChanges* changes) {
  EvaluationRecord& record = evaluations_.at(key.first);
  PartRecord& part = record.parts[key.second];
  ClearLease(key);
  part.state = PartState::kPending;
  if (counts) ++part.tries;
  pending_[key.first].insert(key.second);
  changes->parts.insert(key);
  if (part.tries < limits_.most_tries) return;
  Go(record, EvaluationPhase::kFailed,
     absl::StrCat("part ", key.second, " came to nothing ", part.tries,
                  " times; the last time: ", why),
     now, changes);
}

void EvaluationState::Go(EvaluationRecord& evaluation, EvaluationPhase to,
                         const std::string& reason, absl::Time now,
                         EvaluationChanges* changes) {
  evaluation.phase = to;
  evaluation.reason = reason;
  evaluation.changed = now;
  changes->saved.insert(evaluation.id);
  if (!IsFinal(to)) return;
  for (size_t i = 0; i < evaluation.parts.size(); ++i) {
    ClearLease({evaluation.id, static_cast<int64_t>(i)});
  }
  pending_.erase(evaluation.id);
  undone_.erase(evaluation.id);
  const auto active = active_.find(evaluation.request.owner);
  if (--active->second == 0) active_.erase(active);
  ended_.emplace(now, evaluation.id);
}

void EvaluationState::SetLease(const PartKey& key, absl::Time until) {
  ClearLease(key);
  leases_[key] = until;
  due_.emplace(until, key);
}

void EvaluationState::ClearLease(const PartKey& key) {
  const auto found = leases_.find(key);
  if (found == leases_.end()) return;
  due_.erase({found->second, key});
  leases_.erase(found);
}

void EvaluationState::RenewAll(absl::Time now) {
  due_.clear();
  for (auto& [key, until] : leases_) {
    until = now + limits_.lease;
    due_.emplace(until, key);
  }
}

void EvaluationState::Tick(absl::Time now, EvaluationChanges* changes,
                           absl::Time planned) {
  if (now - planned >= limits_.lease / kLatePart) RenewAll(now);
  while (!due_.empty() && due_.begin()->first <= now) {
    const PartKey key = due_.begin()->second;
    const PartRecord& part = evaluations_.at(key.first).parts[key.second];
    GiveBack(key, true,
             absl::StrCat("worker ", part.worker, " was not heard of"), now,
             changes);
  }
  while (!ended_.empty() && ended_.begin()->first + limits_.retention <= now) {
    Forget(ended_.begin()->second, changes);
  }
}

void EvaluationState::Forget(EvaluationId id, EvaluationChanges* changes) {
  const EvaluationRecord& record = evaluations_.at(id);
  keys_.erase({record.request.owner, record.request.idempotency_key});
  ended_.erase({record.changed, id});
  changes->saved.erase(id);
  changes->parts.erase(changes->parts.lower_bound({id, 0}),
                       changes->parts.lower_bound({id + 1, 0}));
  changes->removed.insert(id);
  evaluations_.erase(id);
}

const EvaluationRecord* EvaluationState::Find(EvaluationId id) const {
  const auto found = evaluations_.find(id);
  return found == evaluations_.end() ? nullptr : &found->second;
}

void EvaluationState::CheckInvariants() const {
  std::map<std::string, int64_t> active;
  size_t leased = 0, ended = 0;
  CARACAL_CHECK(leases_.size() == due_.size()) << "leases and when they end";
  for (const auto& [id, record] : evaluations_) {
    CARACAL_CHECK(id < next_id_ && id == record.id) << "evaluation " << id;
    const bool planned = record.parts[0].state == PartState::kDone;
    CARACAL_CHECK(planned == (record.parts.size() > 1))
        << "parts of evaluation " << id << " without a plan, or no parts";
    CARACAL_CHECK(
        planned || record.phase == EvaluationPhase::kPlanning ||
        (IsFinal(record.phase) && record.phase != EvaluationPhase::kSucceeded))
        << "evaluation " << id << " has no plan";
    int64_t undone = 0;
    for (size_t i = 0; i < record.parts.size(); ++i) {
      const PartRecord& part = record.parts[i];
      const PartKey key = {id, static_cast<int64_t>(i)};
      undone += part.state != PartState::kDone;
      CARACAL_CHECK(part.lease > 0 || part.state == PartState::kPending)
          << "part " << i << " was never leased";
      CARACAL_CHECK(part.tries <= limits_.most_tries) << "tries of part " << i;
      const bool live =
          !IsFinal(record.phase) && part.state == PartState::kLeased;
      leased += live;
      CARACAL_CHECK(live == (leases_.count(key) > 0))
          << "lease of part " << i << " of evaluation " << id;
      if (IsFinal(record.phase)) continue;
      CARACAL_CHECK((part.state == PartState::kPending) ==
                    (pending_.at(id).count(key.second) > 0))
          << "part " << i << " of evaluation " << id;
      CARACAL_CHECK(part.tries < limits_.most_tries) << "tries of part " << i;
    }
    if (IsFinal(record.phase)) {
      ++ended;
      CARACAL_CHECK(ended_.count({record.changed, id}) > 0) << "end of " << id;
      CARACAL_CHECK(pending_.count(id) == 0) << "parts wait of " << id;
      CARACAL_CHECK(record.phase != EvaluationPhase::kSucceeded || undone == 0)
          << "evaluation " << id << " has succeeded without all parts";
    } else {
      ++active[record.request.owner];
      CARACAL_CHECK(undone_.at(id) == undone && undone > 0)
          << "undone parts of " << id;
    }
    if (!record.request.idempotency_key.empty()) {
      CARACAL_CHECK(keys_.at({record.request.owner,
                              record.request.idempotency_key}) == id)
          << "key of evaluation " << id;
    }
  }
  CARACAL_CHECK(leased == leases_.size()) << "leases of nothing";
  CARACAL_CHECK(ended == ended_.size()) << "ends of nothing";
  CARACAL_CHECK(active == active_) << "active evaluations";
}

}  // namespace caracal
