// Evaluations: their state machine with the coordinator's store behind it.
#ifndef CARACAL_JOBS_COORDINATOR_ENGINE_EVALUATIONS_H_
#define CARACAL_JOBS_COORDINATOR_ENGINE_EVALUATIONS_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/base/clock.h"
#include "jobs/coordinator/engine/coordinator.h"
#include "jobs/coordinator/engine/durable_evaluations.h"
#include "jobs/coordinator/evaluation/evaluation_state.h"
#include "jobs/coordinator/store/database.h"
#include "jobs/coordinator/store/evaluation_table.h"
#include "proto/evaluation.pb.h"

namespace caracal {

// A lease, with what the worker needs; all empty when there is nothing to do.
struct LeasedPart {
  PartLease lease;
  bool with_spec = true;  // false: the worker has it, and the plan
  std::string spec;       // proto::EvaluationSpec, as bytes
  std::string plan;       // proto::EvaluationPart, as bytes; of parts above 0
  int64_t lease_ms = 0;   // from now, and from each renewal
};

// Results of parts, as bytes of proto::EvaluationPart, in order.
struct PartPage {
  std::vector<std::string> parts;
  int64_t next = 0;  // 0: these were the last
};

// Every change is durable before it is answered, on the thread that commits,
// and nothing is told that is not: no restart takes back what was seen. What is
// due is done whenever somebody calls: nothing waits for it otherwise.
// Thread-safe.
class Evaluations {
 public:
  using Reply = std::function<void(absl::Status)>;

  // Coordinator and clock outlive it, and it the coordinator's replies.
  Evaluations(const EvaluationLimits& limits, Coordinator* coordinator,
              Clock* clock);

  // First, once, while nobody else uses the database.
  absl::Status Load(Database& database);

  // Called again within `next`, and so on for as long as this process serves.
  // Whoever calls later than that finds that it was stopped meanwhile, and has
  // heard of no worker: leases begin anew then, as after a restart.
  void Tick(absl::Duration next);

  // As EvaluationState has them; kUnavailable also with a store that fails
  // (Coordinator::CheckStore).
  void Create(const EvaluationRequest& request,
              std::function<void(absl::StatusOr<EvaluationId>)> reply);
  void Cancel(EvaluationId id, const std::string& who, Reply reply);
  // The spec and the plan are left out where the worker prefers the evaluation.
  void Lease(const WorkerInfo& worker,
             std::function<void(absl::StatusOr<LeasedPart>)> reply);
  // OK at once, for nothing is stored of it.
  void Renew(const PartLease& lease, Reply reply);
  // Also kInvalidArgument for what is no result of this part.
  void Complete(const PartLease& lease, const proto::EvaluationPart& result,
                Reply reply);
  void Fail(const PartLease& lease, bool for_good, bool released,
            const std::string& message, Reply reply);

  // Of what is durable, as DurableEvaluations has it.
  std::optional<EvaluationView> Get(EvaluationId id);
  EvaluationStats Stats();
  EvaluationPage List(const std::string& owner,
                      std::optional<EvaluationPhase> phase, EvaluationId from,
                      int64_t limit);
  // Whose it is, durable or not: for whoever is about to change it. None: there
  // is no such evaluation.
  std::optional<std::string> OwnerOf(EvaluationId id);
  // Parts from `from` on, a few MiB of them. kNotFound; kFailedPrecondition
  // until the evaluation has succeeded.
  void ReadParts(EvaluationId id, int64_t from,
                 std::function<void(absl::StatusOr<PartPage>)> reply);

 private:
  using Plan = std::shared_ptr<const proto::EvaluationPlan>;

  // The date, but that it does not jump.
  absl::Time Now() const { return start_ + clock_->Now(); }
  // With what is due done before: runs `event` on the state, under the mutex;
  // makes it durable, with the result that it gives, if any; then calls `then`.
  // `held` as of CommitQueue::Add.
  template <typename Event>
  void Do(Event event, std::function<void()> then,
          CommitQueue::Held held = nullptr);
  // Does what is due.
  void DoDue();
  // As Do, of what is asked for and answered: with a store that fails, too.
  template <typename Result, typename Event>
  void Change(Event event, std::function<void(Result)> reply);
  // Calls `then` with the plan, here or on the thread that commits.
  void WithPlan(EvaluationId id,
                std::function<void(const absl::StatusOr<Plan>&)> then);
  void CompleteChecked(const PartLease& lease, Plan plan, std::string result,
                       Reply reply);
  void Commit(const EvaluationChanges& changes,
              const std::optional<StoredPart>& result,
              std::function<void()> then, CommitQueue::Held held);

  Coordinator* const coordinator_;
  Clock* const clock_;
  const absl::Time start_;  // the date when clock_'s durations began
  DurableEvaluations durable_;
  std::mutex mutex_;  // guards all below
  EvaluationState state_;
  // When Tick is called again at the latest.
  absl::Time planned_ = absl::InfiniteFuture();
  EvaluationId stored_next_id_ = 1;
  // Of evaluations that are measured.
  std::map<EvaluationId, Plan> plans_;
};

}  // namespace caracal

#endif  // CARACAL_JOBS_COORDINATOR_ENGINE_EVALUATIONS_H_
