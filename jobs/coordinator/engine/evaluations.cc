#include "jobs/coordinator/engine/evaluations.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/status.h"
#include "eval/measure/merge.h"
#include "eval/measure/plan.h"
#include "eval/measure/plan_cut.h"
#include "jobs/coordinator/engine/one_answer.h"

namespace caracal {
namespace {

constexpr size_t kPageBytes = 4 << 20;

absl::Status NoSuchEvaluation(EvaluationId id) {
  return absl::NotFoundError(absl::StrCat("there is no evaluation ", id));
}

int64_t PartsOf(const proto::EvaluationPlan& plan) {
  return plan.shards_size() + plan.probes();
}

// That each of the plan's parts can be done, and handed to workers.
absl::Status CheckEvaluationPlan(const proto::EvaluationPlan& plan) {
  if (PartsOf(plan) > kMostPlanParts) {
    return absl::InvalidArgumentError(
        absl::StrCat("a plan of ", PartsOf(plan), " parts, expected at most ",
                     kMostPlanParts, ": take a larger --part-rows"));
  }
  if (const auto bytes = static_cast<int64_t>(plan.ByteSizeLong());
      bytes > kMostPlanBytes) {
    return absl::InvalidArgumentError(
        absl::StrCat("a plan of ", bytes, " bytes, expected at most ",
                     kMostPlanBytes, ": take fewer --rows"));
  }
  RETURN_IF_ERROR(CheckPlan(plan.measurement()));
  for (const proto::MeasurementShard& shard : plan.shards()) {
    RETURN_IF_ERROR(CheckShard(plan.measurement(), shard));
  }
  return absl::OkStatus();
}

// That `result` is one of part `number`, from 1.
absl::Status CheckResult(const proto::EvaluationPlan& plan, int64_t number,
                         const proto::EvaluationPart& result) {
  if (number <= plan.shards_size()) {
    if (!result.has_partial()) {
      return absl::InvalidArgumentError("result: is no measurement");
    }
    return CheckPartial(plan.measurement(),
                        plan.shards(static_cast<int>(number - 1)),
                        result.partial());
  }
  if (result.part_case() != proto::EvaluationPart::kProbes) {
    return absl::InvalidArgumentError("result: is not that of probes");
  }
  return absl::OkStatus();
}

}  // namespace

Evaluations::Evaluations(const EvaluationLimits& limits,
                         Coordinator* coordinator, Clock* clock)
    : coordinator_(coordinator),
      clock_(clock),
      start_(clock->WallTime() - clock->Now()),
      state_(limits) {}

absl::Status Evaluations::Load(Database& database) {
  ASSIGN_OR_RETURN(EvaluationContents contents, LoadEvaluations(database));
  durable_.Load(contents.evaluations);
  const std::lock_guard lock(mutex_);
  stored_next_id_ = contents.next_id;
  state_.Recover(std::move(contents.evaluations), contents.next_id, Now());
  return absl::OkStatus();
}

template <typename Result, typename Event>
void Evaluations::Change(Event event, std::function<void(Result)> reply) {
  if (absl::Status status = coordinator_->CheckStore(); !status.ok()) {
    return reply(std::move(status));
  }
  const auto answer = std::make_shared<OneAnswer<Result>>(std::move(reply));
  Do(
      [&](absl::Time now,
          EvaluationChanges* changes) -> std::optional<StoredPart> {
        return event(&answer->result, now, changes);
      },
      [answer] { answer->Stored(); },
      [answer](const absl::Status& why) { answer->Held(why); });
}

template <typename Event>
void Evaluations::Do(Event event, std::function<void()> then,
                     CommitQueue::Held held) {
  const std::lock_guard lock(mutex_);
  const absl::Time now = Now();
  EvaluationChanges changes;
  state_.Tick(now, &changes, planned_);
  planned_ = std::max(planned_, now);
  const std::optional<StoredPart> result = event(now, &changes);
  Commit(changes, result, std::move(then), std::move(held));
}

void Evaluations::DoDue() {
  Do([](absl::Time, EvaluationChanges*) { return std::nullopt; }, nullptr);
}

void Evaluations::Tick(absl::Duration next) {
  Do(
      [&](absl::Time now, EvaluationChanges*) {
        planned_ = now + next;
        return std::nullopt;
      },
      nullptr);
}

void Evaluations::Commit(const EvaluationChanges& changes,
                         const std::optional<StoredPart>& result,
                         std::function<void()> then, CommitQueue::Held held) {
  if (changes.empty() && !then) return;
  StoreBatch batch;
  if (!changes.empty()) {
    auto write = std::make_shared<EvaluationWrite>();
    for (const EvaluationId id : changes.saved) {
      const EvaluationRecord& from = *state_.Find(id);
      EvaluationRecord& to = write->saved.emplace_back();
      to.id = id;
      to.request = from.request;
      to.phase = from.phase;
      to.reason = from.reason;
      to.version = from.version;
      to.created = from.created;
      to.changed = from.changed;
      if (IsFinal(from.phase)) plans_.erase(id);
    }
    for (const auto& [id, number] : changes.parts) {
      StoredPart& part = write->parts.emplace_back();
      part = {id, number, state_.Find(id)->parts[number]};
      if (result.has_value() && result->evaluation == id &&
          result->part == number) {
        part.result = result->result;
      }
    }
    write->removed.assign(changes.removed.begin(), changes.removed.end());
    if (state_.next_id() != stored_next_id_) {
      write->next_id = stored_next_id_ = state_.next_id();
    }
    batch.also = [write](Database& database) {
      return WriteEvaluations(database, *write);
    };
    then = [this, write, then = std::move(then)] {
      durable_.Apply(*write);
      if (then) then();
    };
  }
  coordinator_->Store(std::move(batch), std::move(then), std::move(held));
}

void Evaluations::Create(
    const EvaluationRequest& request,
    std::function<void(absl::StatusOr<EvaluationId>)> reply) {
  Change<absl::StatusOr<EvaluationId>>(
      [&](auto* id, absl::Time now, EvaluationChanges* changes) {
        *id = state_.Create(request, now, changes);
        return std::nullopt;
      },
      std::move(reply));
}

void Evaluations::Cancel(EvaluationId id, const std::string& who, Reply reply) {
  Change<absl::Status>(
      [&](absl::Status* status, absl::Time now, EvaluationChanges* changes) {
        *status = state_.Cancel(id, who, now, changes);
        return std::nullopt;
      },
      std::move(reply));
}

void Evaluations::Lease(const WorkerInfo& worker,
                        std::function<void(absl::StatusOr<LeasedPart>)> reply) {
  if (absl::Status status = coordinator_->CheckStore(); !status.ok()) {
    return reply(std::move(status));
  }
  struct Answer {
    LeasedPart leased;
    bool told = false;  // that it can't be stored
  };
  auto answer = std::make_shared<Answer>();
  Do(
      [&](absl::Time now, EvaluationChanges* changes) {
        LeasedPart& leased = answer->leased;
        if (const auto lease = state_.Lease(worker, now, changes)) {
          leased.lease = *lease;
          leased.lease_ms = absl::ToInt64Milliseconds(state_.limits().lease);
          leased.spec = state_.Find(lease->evaluation)->request.spec;
        }
        return std::nullopt;
      },
      [this, answer, prefers = worker.prefers, reply] {
        if (answer->told) return;
        LeasedPart& leased = answer->leased;
        const PartLease& lease = leased.lease;
        if (lease.evaluation != 0 && lease.evaluation == prefers) {
          leased.with_spec = false;
          leased.spec.clear();
        } else if (lease.part > 0) {
          // After what was committed before it, on this very thread.
          return coordinator_->OnStore([answer, reply](JobStore& store) {
            LeasedPart& leased = answer->leased;
            absl::StatusOr<std::string> plan =
                ReadPartResult(store.database(), leased.lease.evaluation, 0);
            if (!plan.ok()) return reply(plan.status());
            leased.plan = *std::move(plan);
            reply(std::move(leased));
          });
        }
        reply(std::move(leased));
      },
      // Nobody hears of it: it runs out.
      [answer, reply](const absl::Status& why) {
        answer->told = true;
        reply(CantBeStored(why));
      });
}

void Evaluations::Renew(const PartLease& lease, Reply reply) {
  const auto answer = std::make_shared<OneAnswer<absl::Status>>(reply);
  bool renewed = false;
  // That it is lost may be what is still to be stored.
  Do(
      [&](absl::Time now, EvaluationChanges*) {
        answer->result = state_.Renew(lease, now);
        renewed = answer->result.ok();
        return std::nullopt;
      },
      [answer] {
        if (!answer->result.ok()) answer->Stored();
      },
      [answer](const absl::Status& why) {
        if (!answer->result.ok()) answer->Held(why);
      });
  if (renewed) reply(absl::OkStatus());
}

void Evaluations::WithPlan(
    EvaluationId id, std::function<void(const absl::StatusOr<Plan>&)> then) {
  Plan known;
  {
    const std::lock_guard lock(mutex_);
    const auto found = plans_.find(id);
    if (found != plans_.end()) known = found->second;
  }
  if (known != nullptr) return then(known);
  coordinator_->OnStore([this, id, then = std::move(then)](JobStore& store) {
    const absl::StatusOr<std::string> bytes =
        ReadPartResult(store.database(), id, 0);
    if (!bytes.ok()) return then(bytes.status());
    proto::EvaluationPart part;
    if (!part.ParseFromString(*bytes) || !part.has_plan()) {
      return then(absl::DataLossError(
          absl::StrCat(store.path(), ": the plan of evaluation ", id)));
    }
    const auto plan =
        std::make_shared<const proto::EvaluationPlan>(part.plan());
    {
      const std::lock_guard lock(mutex_);
      const EvaluationRecord* record = state_.Find(id);
      if (record != nullptr && !IsFinal(record->phase)) plans_[id] = plan;
    }
    then(plan);
  });
}

void Evaluations::Complete(const PartLease& lease,
                           const proto::EvaluationPart& result, Reply reply) {
  std::string bytes = result.SerializeAsString();
  if (lease.part == 0) {
    if (!result.has_plan()) {
      return reply(absl::InvalidArgumentError("result: is no plan"));
    }
    if (const absl::Status status = CheckEvaluationPlan(result.plan());
        !status.ok()) {
      return reply(status);
    }
    return CompleteChecked(
        lease, std::make_shared<const proto::EvaluationPlan>(result.plan()),
        std::move(bytes), std::move(reply));
  }
  WithPlan(lease.evaluation,
           [this, lease, result, bytes = std::move(bytes),
            reply = std::move(reply)](const absl::StatusOr<Plan>& plan) {
             absl::Status status = plan.status();
             if (status.ok()) status = CheckResult(**plan, lease.part, result);
             if (!status.ok()) return reply(status);
             CompleteChecked(lease, nullptr, bytes, reply);
           });
}

void Evaluations::CompleteChecked(const PartLease& lease, Plan plan,
                                  std::string result, Reply reply) {
  Change<absl::Status>(
      [&](absl::Status* status, absl::Time now,
          EvaluationChanges* changes) -> std::optional<StoredPart> {
        const absl::StatusOr<bool> is_new =
            plan != nullptr ? state_.CompletePlan(lease, PartsOf(*plan),
                                                  plan->version(), now, changes)
                            : state_.Complete(lease, now, changes);
        *status = is_new.status();
        if (!is_new.ok() || !*is_new) return std::nullopt;
        if (plan != nullptr) plans_[lease.evaluation] = plan;
        return StoredPart{.evaluation = lease.evaluation,
                          .part = lease.part,
                          .result = std::move(result)};
      },
      std::move(reply));
}

void Evaluations::Fail(const PartLease& lease, bool for_good, bool released,
                       const std::string& message, Reply reply) {
  Change<absl::Status>(
      [&](absl::Status* status, absl::Time now, EvaluationChanges* changes) {
        *status = state_.Fail(lease, for_good, released, message, now, changes);
        return std::nullopt;
      },
      std::move(reply));
}

std::optional<EvaluationView> Evaluations::Get(EvaluationId id) {
  DoDue();
  return durable_.Get(id);
}

EvaluationStats Evaluations::Stats() {
  DoDue();
  return durable_.Stats();
}

EvaluationPage Evaluations::List(const std::string& owner,
                                 std::optional<EvaluationPhase> phase,
                                 EvaluationId from, int64_t limit) {
  DoDue();
  return durable_.List(owner, phase, from, limit);
}

std::optional<std::string> Evaluations::OwnerOf(EvaluationId id) {
  const std::lock_guard lock(mutex_);
  const EvaluationRecord* record = state_.Find(id);
  if (record == nullptr) return std::nullopt;
  return record->request.owner;
}

void Evaluations::ReadParts(
    EvaluationId id, int64_t from,
    std::function<void(absl::StatusOr<PartPage>)> reply) {
  const std::optional<EvaluationView> view = Get(id);
  if (!view.has_value()) return reply(NoSuchEvaluation(id));
  if (view->phase != EvaluationPhase::kSucceeded) {
    return reply(absl::FailedPreconditionError(absl::StrCat(
        "evaluation ", id, " is ", NameOf(view->phase), ", not succeeded")));
  }
  if (from < 0 || from >= view->parts) {
    return reply(absl::InvalidArgumentError(absl::StrCat(
        "from: evaluation ", id, " has parts 0 to ", view->parts - 1)));
  }
  coordinator_->ReadStore([id, from, parts = view->parts,
                           reply = std::move(reply)](JobStore& store) {
    PartPage page;
    size_t bytes = 0;
    int64_t next = from;
    while (next < parts && (page.parts.empty() || bytes < kPageBytes)) {
      absl::StatusOr<std::string> part =
          ReadPartResult(store.database(), id, next);
      if (!part.ok()) return reply(part.status());
      bytes += part->size();
      page.parts.push_back(*std::move(part));
      ++next;
    }
    page.next = next < parts ? next : 0;
    reply(std::move(page));
  });
}

}  // namespace caracal
