// Evaluations in a world of workers that are slow, die, come back late and say
// things twice, under a coordinator that is killed at any moment: random events
// against what must hold.
#include <gtest/gtest.h>

#include <functional>
#include <map>
#include <optional>
#include <random>
#include <set>

#include "jobs/coordinator/evaluation/evaluation_state.h"
#include "kernels/common/check.h"

namespace caracal {
namespace {

using PartKey = std::pair<EvaluationId, int64_t>;

class World {
 public:
  explicit World(uint64_t seed)
      : random_(seed), state_(std::in_place, kLimits) {}

  void Event() {
    now_ += absl::Milliseconds(Below(2000));
    if (Below(60) == 0) now_ += absl::Minutes(Below(20));
    switch (Below(16)) {
      case 0:
        return Create();
      case 1:
        if (Below(6) != 0) return;
        return Do([&](EvaluationChanges* c) {
          (void)state_->Cancel(AnyId(), "ann", now_, c);
          return Answer();
        });
      case 2:
      case 3:
      case 4:
      case 5:
        return Lease();
      case 6:
      case 7:
        if (!held_.empty()) (void)state_->Renew(AnyHeld()->second, now_);
        return state_->CheckInvariants();
      case 8:
      case 9:
      case 10:
      case 11:
        return Complete();
      case 12:
        return Fail();
      case 13:
        // A worker dies.
        if (!held_.empty() && Below(4) == 0) held_.erase(AnyHeld());
        return;
      case 14:
        return Tick();
      default:
        if (Below(10) == 0) Restart();
    }
  }

  // With workers that work, every evaluation ends.
  void Settle() {
    held_.clear();
    now_ += kLimits.lease;
    Tick();
    for (int round = 0; round < 20000; ++round) {
      bool all_ended = true;
      for (const auto& [id, record] : state_->evaluations()) {
        all_ended = all_ended && IsFinal(record.phase);
      }
      if (all_ended) return;
      Lease();
      while (!held_.empty()) Complete();
      if (round % 100 == 99) {
        now_ += kLimits.lease;
        Tick();
      }
    }
    ADD_FAILURE() << "evaluations that never end";
  }

  int64_t succeeded = 0, failed = 0, restarts = 0, refused = 0, again = 0;

 private:
  static constexpr EvaluationLimits kLimits = {.lease = absl::Seconds(30),
                                               .most_tries = 4,
                                               .most_parts = 6,
                                               .most_active = 8,
                                               .retention = absl::Hours(2)};

  int64_t Below(int64_t n) { return static_cast<int64_t>(random_() % n); }
  EvaluationId AnyId() {
    return 1 + Below(static_cast<int64_t>(state_->next_id()));
  }
  using Held = std::multimap<int64_t, PartLease>;
  Held::iterator AnyHeld() {
    auto lease = held_.begin();
    std::advance(lease, Below(static_cast<int64_t>(held_.size())));
    return lease;
  }

  // What happens once an event is durable.
  using Answer = std::function<void()>;

  // Stores what the event changed, then answers, unless the coordinator is
  // killed before or between.
  template <typename F>
  void Do(F event) {
    EvaluationChanges changes;
    const Answer answer = event(&changes);
    state_->CheckInvariants();
    const int64_t killed = Below(300);
    if (killed == 0) return Restart();  // nothing was stored
    for (const EvaluationId id : changes.saved) {
      const EvaluationRecord& record = *state_->Find(id);
      const auto before = store_.find(id);
      if (before != store_.end()) {
        CARACAL_CHECK(!IsFinal(before->second.phase))
            << "evaluation " << id << " had ended";
        succeeded += record.phase == EvaluationPhase::kSucceeded;
        failed += record.phase == EvaluationPhase::kFailed;
      }
      std::vector<PartRecord> parts = store_[id].parts;
      store_[id] = record;
      store_[id].parts = std::move(parts);
    }
    for (const auto& [id, number] : changes.parts) {
      const PartRecord& part = state_->Find(id)->parts[number];
      std::vector<PartRecord>& parts = store_[id].parts;
      if (static_cast<int64_t>(parts.size()) <= number) {
        parts.resize(number + 1);
      }
      CARACAL_CHECK(part.lease >= parts[number].lease) << "a lease comes back";
      CARACAL_CHECK(parts[number].state != PartState::kDone)
          << "part " << number << " of " << id << " was done";
      parts[number] = part;
    }
    for (const EvaluationId id : changes.removed) {
      store_.erase(id);
      results_.erase(results_.lower_bound({id, 0}),
                     results_.lower_bound({id + 1, 0}));
    }
    stored_next_id_ = state_->next_id();
    // A result is stored with what says that it is there.
    if (stored_result_.has_value()) {
      const auto [key, lease] = *stored_result_;
      CARACAL_CHECK(results_.count(key) == 0) << "a part is done twice";
      results_[key] = lease;
    }
    stored_result_.reset();
    CheckStore();
    if (killed == 1) return Restart();  // nobody was answered
    if (answer) answer();
  }

  // What is durable: evaluations that have succeeded have all results.
  void CheckStore() {
    for (const auto& [id, record] : store_) {
      for (size_t i = 0; i < record.parts.size(); ++i) {
        const PartKey key = {id, static_cast<int64_t>(i)};
        const bool done = record.parts[i].state == PartState::kDone;
        CARACAL_CHECK(done == (results_.count(key) > 0))
            << "result of part " << i << " of " << id;
        CARACAL_CHECK(!done || results_.at(key) == record.parts[i].lease)
            << "a result of another lease";
        CARACAL_CHECK(record.phase != EvaluationPhase::kSucceeded || done)
            << "evaluation " << id << " has not all parts";
      }
    }
  }

  void Create() {
    Do([&](EvaluationChanges* c) {
      const char* const keys[] = {"", "a", "b"};
      const char* const owners[] = {"ann", "bob"};
      (void)state_->Create({owners[Below(2)], "s", keys[Below(3)]}, now_, c);
      return Answer();
    });
  }

  void Lease() {
    Do([&](EvaluationChanges* c) -> Answer {
      const char* const owners[] = {"", "", "ann", "bob"};
      const auto lease = state_->Lease(
          {"w", "1", owners[Below(4)], static_cast<EvaluationId>(AnyId())},
          now_, c);
      if (!lease.has_value()) return nullptr;
      CARACAL_CHECK(results_.count({lease->evaluation, lease->part}) == 0)
          << "a part that is done goes out";
      return [this, lease = *lease] {
        // At most one worker holds a number.
        CARACAL_CHECK(
            given_.insert({{lease.evaluation, lease.part}, lease.lease}).second)
            << "a lease goes out twice";
        held_.emplace(Below(1000), lease);
      };
    });
  }

  void Complete() {
    if (held_.empty()) return;
    const auto held = AnyHeld();
    const PartLease lease = held->second;
    // It may not hear the answer, and say it again.
    const bool hears = Below(5) != 0;
    Do([&](EvaluationChanges* c) -> Answer {
      const auto is_new =
          lease.part == 0
              ? state_->CompletePlan(lease, 1 + Below(kLimits.most_parts), "1",
                                     now_, c)
              : state_->Complete(lease, now_, c);
      const PartKey key = {lease.evaluation, lease.part};
      if (is_new.ok() && *is_new) stored_result_ = {key, lease.lease};
      return [this, hears, lease, key, is_new] {
        refused += !is_new.ok();
        again += is_new.ok() && !*is_new;
        // What was acknowledged is there, and is this one's.
        CARACAL_CHECK(!is_new.ok() || results_.at(key) == lease.lease)
            << "an acknowledged result is lost";
        if (!hears) return;
        for (auto it = held_.begin(); it != held_.end(); ++it) {
          if (it->second == lease) {
            held_.erase(it);
            return;
          }
        }
      };
    });
    stored_result_.reset();
  }

  void Fail() {
    if (held_.empty()) return;
    const auto held = AnyHeld();
    const PartLease lease = held->second;
    held_.erase(held);
    Do([&](EvaluationChanges* c) {
      (void)state_->Fail(lease, Below(10) == 0, Below(2) == 0, "why", now_, c);
      return Answer();
    });
  }

  void Tick() {
    Do([&](EvaluationChanges* c) {
      state_->Tick(now_, c);
      return Answer();
    });
  }

  // A new coordinator with what was stored; workers go on.
  void Restart() {
    ++restarts;
    stored_result_.reset();
    std::vector<EvaluationRecord> records;
    for (const auto& [id, record] : store_) records.push_back(record);
    state_.emplace(kLimits);
    state_->Recover(std::move(records), stored_next_id_, now_);
    state_->CheckInvariants();
  }

  std::mt19937_64 random_;
  absl::Time now_ = absl::UnixEpoch();
  std::optional<EvaluationState> state_;
  EvaluationId stored_next_id_ = 1;
  std::map<EvaluationId, EvaluationRecord> store_;
  std::map<PartKey, uint64_t> results_;  // stored; of which lease
  std::optional<std::pair<PartKey, uint64_t>> stored_result_;
  Held held_;                                     // by workers
  std::set<std::pair<PartKey, uint64_t>> given_;  // leases ever answered
};

TEST(EvaluationExploration, AMillionEvents) {
  int64_t succeeded = 0, failed = 0, restarts = 0, refused = 0, again = 0;
  constexpr int kWorlds = 20, kEvents = 50'000;
  for (uint64_t seed = 1; seed <= kWorlds; ++seed) {
    World world(seed);
    for (int i = 0; i < kEvents; ++i) world.Event();
    world.Settle();
    succeeded += world.succeeded;
    failed += world.failed;
    restarts += world.restarts;
    refused += world.refused;
    again += world.again;
  }
  // It has been everywhere.
  EXPECT_GT(succeeded, 1000);
  EXPECT_GT(failed, 100);
  EXPECT_GT(restarts, 1000);
  EXPECT_GT(refused, 1000);
  EXPECT_GT(again, 100);
}

}  // namespace
}  // namespace caracal
