// Evaluations as the store has them: what is shown to whoever asks.
#ifndef CARACAL_JOBS_COORDINATOR_ENGINE_DURABLE_EVALUATIONS_H_
#define CARACAL_JOBS_COORDINATOR_ENGINE_DURABLE_EVALUATIONS_H_

#include <array>
#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "jobs/coordinator/evaluation/evaluation_record.h"
#include "jobs/coordinator/store/evaluation_table.h"

namespace caracal {

// For people: an evaluation, without its parts.
struct EvaluationView {
  EvaluationId id = 0;
  EvaluationRequest request;
  EvaluationPhase phase = EvaluationPhase::kPlanning;
  std::string reason;
  absl::Time created, changed;
  int64_t parts = 0, leased = 0, done = 0;
};

struct EvaluationPage {
  std::vector<EvaluationView> evaluations;  // the newest first
  EvaluationId next = 0;  // where the next page begins; 0: there is none
};

// Now, for those who watch.
struct EvaluationStats {
  std::array<int64_t, kEvaluationPhases> evaluations = {};  // by phase
  // Of those that have not ended.
  int64_t pending_parts = 0, leased_parts = 0;
};

// As DurableJobs is to jobs: the state machine is ahead of the disk while a
// change is written, and for as long as the disk is full, so that it is this
// copy that is read.
//
// Thread-safe; takes no other lock.
class DurableEvaluations {
 public:
  // What the store has, first.
  void Load(const std::vector<EvaluationRecord>& evaluations);
  // This is durable. In the order in which it became so.
  void Apply(const EvaluationWrite& write);

  std::optional<EvaluationView> Get(EvaluationId id) const;
  // At most `limit` from evaluation `from` downwards; 0: from the newest.
  // `owner` "" and no `phase`: of all.
  EvaluationPage List(const std::string& owner,
                      std::optional<EvaluationPhase> phase, EvaluationId from,
                      int64_t limit) const;
  // In time linear in the evaluations.
  EvaluationStats Stats() const;

 private:
  struct Entry {
    EvaluationView view;  // its parts are counted
    std::vector<PartState> parts;
  };
  static void Describe(const EvaluationRecord& record, EvaluationView* view);
  static void SetPart(int64_t number, PartState state, Entry* entry);
  // Nothing is leased any more of one that has ended.
  static EvaluationView ViewOf(const Entry& entry);

  // std::, which ThreadSanitizer sees through. Guards what follows.
  mutable std::mutex mutex_;
  std::map<EvaluationId, Entry> evaluations_;
};

}  // namespace caracal

#endif  // CARACAL_JOBS_COORDINATOR_ENGINE_DURABLE_EVALUATIONS_H_
