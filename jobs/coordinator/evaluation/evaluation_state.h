// Evaluations as a state machine: events in, what is to be stored out. No I/O,
// no clock, no threads.
#ifndef CARACAL_JOBS_COORDINATOR_EVALUATION_EVALUATION_STATE_H_
#define CARACAL_JOBS_COORDINATOR_EVALUATION_EVALUATION_STATE_H_

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "jobs/coordinator/evaluation/evaluation_record.h"

namespace caracal {

struct EvaluationLimits {
  // A lease that is not renewed for so long goes to somebody else.
  absl::Duration lease = absl::Seconds(30);
  // Leases of one part that may come to nothing before the evaluation fails.
  int64_t most_tries = 5;
  int64_t most_parts = 100'000;
  // Those of one owner that have not ended.
  int64_t most_active = 1000;
  // Evaluations that have ended are forgotten after so long.
  absl::Duration retention = absl::InfiniteDuration();
};

// A part, leased.
struct PartLease {
  EvaluationId evaluation = 0;
  int64_t part = 0;
  uint64_t lease = 0;
  bool operator==(const PartLease&) const = default;
};

// What an event changed. Answers go out only after it is durable.
struct EvaluationChanges {
  std::set<EvaluationId> saved;  // but for their parts
  std::set<std::pair<EvaluationId, int64_t>> parts;
  std::set<EvaluationId> removed;
  bool empty() const {
    return saved.empty() && parts.empty() && removed.empty();
  }
};

// Who may lease what.
struct WorkerInfo {
  std::string name;          // for people
  std::string version;       // of its program
  std::string owner = "";    // parts of this owner's alone; "": of all
  EvaluationId prefers = 0;  // its parts go first; 0: none
};

// Parts go out evaluation by evaluation, the oldest first, in their order.
// `now` never goes back. Not thread-safe.
class EvaluationState {
 public:
  explicit EvaluationState(const EvaluationLimits& limits) : limits_(limits) {}

  // As the store has them, by id, before any other event. Leases begin anew:
  // their workers may be there yet.
  void Recover(std::vector<EvaluationRecord> evaluations, EvaluationId next_id,
               absl::Time now);

  // kAlreadyExists: the owner's idempotency key was used for another request;
  // kResourceExhausted: too many of the owner's have not ended.
  absl::StatusOr<EvaluationId> Create(const EvaluationRequest& request,
                                      absl::Time now,
                                      EvaluationChanges* changes);
  // kNotFound. One that has ended stays as it is.
  absl::Status Cancel(EvaluationId id, const std::string& who, absl::Time now,
                      EvaluationChanges* changes);

  // None when there is nothing for this worker.
  std::optional<PartLease> Lease(const WorkerInfo& worker, absl::Time now,
                                 EvaluationChanges* changes);

  // Of whoever holds a lease. kAborted when it is not the part's any more: it
  // ran out and went to somebody else, or the evaluation has ended. kNotFound.
  absl::Status Renew(const PartLease& lease, absl::Time now);
  // Whether the result is new, and to be stored: false for one that this very
  // lease has brought before. Of a part above 0. kAborted and kNotFound also as
  // of Renew.
  absl::StatusOr<bool> Complete(const PartLease& lease, absl::Time now,
                                EvaluationChanges* changes);
  // The same of part 0, which makes `parts` more, to be done by programs of
  // this version. kInvalidArgument when they are none or too many.
  absl::StatusOr<bool> CompletePlan(const PartLease& lease, int64_t parts,
                                    const std::string& version, absl::Time now,
                                    EvaluationChanges* changes);
  // The part goes to somebody else, or `for_good` the evaluation fails.
  // `released`: does not count as a try.
  absl::Status Fail(const PartLease& lease, bool for_good, bool released,
                    const std::string& message, absl::Time now,
                    EvaluationChanges* changes);

  // Whatever is due: leases that have run out, retention. `planned`: when this
  // was to be called at the latest. Much later than that, this process was
  // stopped, and has heard of no worker meanwhile: leases begin anew.
  void Tick(absl::Time now, EvaluationChanges* changes,
            absl::Time planned = absl::InfiniteFuture());

  // Null when there is none. Valid until the next event.
  const EvaluationRecord* Find(EvaluationId id) const;
  const std::map<EvaluationId, EvaluationRecord>& evaluations() const {
    return evaluations_;
  }
  EvaluationId next_id() const { return next_id_; }
  const EvaluationLimits& limits() const { return limits_; }

  // CHECKs what must hold between any two events, in time linear in the parts.
  void CheckInvariants() const;

 private:
  using PartKey = std::pair<EvaluationId, int64_t>;

  // The part, if the lease is the one it is held by.
  absl::StatusOr<PartRecord*> FindLeased(const PartLease& lease);
  // Likewise, or null for one that this lease has completed.
  absl::StatusOr<PartRecord*> FindToComplete(const PartLease& lease);
  void SetLease(const PartKey& key, absl::Time until);
  void RenewAll(absl::Time now);
  void ClearLease(const PartKey& key);
  void Done(const PartLease& lease, PartRecord* part, absl::Time now,
            EvaluationChanges* changes);
  void Go(EvaluationRecord& evaluation, EvaluationPhase to,
          const std::string& reason, absl::Time now,
          EvaluationChanges* changes);
  // A lease has come to nothing.
  void GiveBack(const PartKey& key, bool counts, const std::string& why,
                absl::Time now, EvaluationChanges* changes);
  void Index(const EvaluationRecord& evaluation, absl::Time now);
  void Forget(EvaluationId id, EvaluationChanges* changes);

  const EvaluationLimits limits_;
  std::map<EvaluationId, EvaluationRecord> evaluations_;
  EvaluationId next_id_ = 1;
  std::map<std::pair<std::string, std::string>, EvaluationId> keys_;
  std::map<std::string, int64_t> active_;  // of each owner, not ended
  // Of those that have not ended: parts that wait.
  std::map<EvaluationId, std::set<int64_t>> pending_;
  std::map<EvaluationId, int64_t> undone_;  // parts that are not done
  std::map<PartKey, absl::Time> leases_;    // when they run out
  std::set<std::pair<absl::Time, PartKey>> due_;
  std::set<std::pair<absl::Time, EvaluationId>> ended_;  // by when they ended
};

}  // namespace caracal

#endif  // CARACAL_JOBS_COORDINATOR_EVALUATION_EVALUATION_STATE_H_
