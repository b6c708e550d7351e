// The state machine in a world of gangs that start, die, come back late and
// lie, under a coordinator that is killed at any moment: a million random
// events against what must hold.
#include <gtest/gtest.h>

#include <map>
#include <optional>
#include <random>
#include <set>

#include "jobs/coordinator/state/coordinator_state.h"
#include "kernels/common/check.h"

namespace caracal {
namespace {

using GangId = std::pair<JobId, uint64_t>;

// A process group, as the machine has it.
struct Gang {
  bool alive = true;
  bool claimed = true;  // false: whoever looks first finds that it never began
  bool asked_to_stop = false;
  GangEnd end = GangEnd::kDone;   // once it is not alive
  int64_t written = 0, sent = 0;  // lines of metrics
};

class World {
 public:
  explicit World(uint64_t seed) : random_(seed) {
    limits_.slots = 4;
    limits_.retention = absl::Hours(2);
    state_.emplace(limits_);
  }

  void Event() {
    now_ += absl::Milliseconds(Below(3000));
    if (Below(50) == 0) now_ += absl::Minutes(Below(30));
    switch (Below(16)) {
      case 0:
        return Submit();
      case 1:
        return Do([&](Effects* e) {
          const char* const keys[] = {"", "", "a", "b"};
          (void)state_->Cancel(AnyJob(), "ann", now_, e, keys[Below(4)]);
        });
      case 2:
        return Do([&](Effects* e) {
          const char* const keys[] = {"", "a", "b"};
          (void)state_->Resume(AnyJob(), keys[Below(3)], now_, e);
        });
      case 3:
        return Do([&](Effects* e) { (void)state_->Remove(AnyJob(), e); });
      case 4:
        return Do([&](Effects* e) {
          (void)state_->SetPriority(AnyJob(), Below(3), now_, e);
        });
      case 5:
      case 6:
        return Beat();
      case 7:
      case 8:
        return EndSome();
      case 9:
      case 10:
        return Tell();
      case 11:
      case 12:
        return Do([&](Effects* e) {
          // At times it was stopped before.
          state_->Tick(now_, e, now_ - absl::Seconds(Below(9)));
        });
      case 13:
        return Wait();
      case 14:
        return Steer();
      default:
        if (Below(10) == 0) Restart();
    }
  }

  // With nobody interfering, every job ends.
  void Settle() {
    state_->SetClusterSilent(false, now_);
    for (int round = 0; round < 1000; ++round) {
      bool all_ended = true;
      for (const auto& [id, job] : state_->jobs()) {
        all_ended = all_ended && IsFinal(job.state);
      }
      if (all_ended) return;
      for (auto& [id, gang] : gangs_) {
        if (gang.alive) End(gang, GangEnd::kDone);
      }
      while (!untold_.empty()) Tell();
      now_ =
          std::max(now_, std::min(state_->NextTick(), now_ + absl::Hours(1)));
      Do([&](Effects* e) { state_->Tick(now_, e); });
    }
    ADD_FAILURE() << "jobs that never end";
  }

  int64_t starts = 0, restarts = 0, ended = 0;

 private:
  int64_t Below(int64_t n) { return static_cast<int64_t>(random_() % n); }

  JobId AnyJob() {
    return 1 + Below(static_cast<int64_t>(state_->next_id()) + 1);
  }
  // One that may be there.
  std::map<GangId, Gang>::iterator AnyGang() {
    auto gang = gangs_.begin();
    std::advance(gang, Below(static_cast<int64_t>(gangs_.size())));
    return gang;
  }

  // What the store and the launcher do of an event, unless the coordinator is
  // killed before or between.
  template <typename F>
  void Do(F event) {
    Effects effects;
    event(&effects);
    state_->CheckInvariants();
    CARACAL_CHECK(state_->counts().used_slots() <= limits_.slots) << "slots";
    const int64_t killed = restarting_ ? 400 : Below(400);
    if (killed == 0) return Restart();  // nothing was stored
    for (const JobId id : effects.saved) {
      if (const JobRecord* job = state_->Find(id)) {
        NoteSaved(*job);
        store_[id] = *job;
      }
    }
    for (const JobId id : effects.removed) store_.erase(id);
    for (const JobMetrics& metrics : effects.metrics) {
      // Each line of a gang once, in order.
      int64_t& last = lines_[{metrics.job, state_->Find(metrics.job)->epoch}];
      CARACAL_CHECK(metrics.line == std::to_string(last + 1))
          << "line " << metrics.line << " after " << last;
      ++last;
    }
    stored_next_id_ = state_->next_id();
    if (killed == 1) return Restart();  // no order went out
    for (const GangOrder& order : effects.orders) {
      if (killed == 2 && Below(2) == 0) return Restart();  // some did
      Obey(order);
    }
  }

  // What was durable once stays true.
  void NoteSaved(const JobRecord& job) {
    const auto before = store_.find(job.id);
    if (before == store_.end()) return;
    CARACAL_CHECK(job.epoch >= before->second.epoch) << "job " << job.id;
    CARACAL_CHECK(before->second.state != JobState::kSucceeded ||
                  job.state == JobState::kSucceeded)
        << "job " << job.id << " was done";
    if (!IsFinal(before->second.state) && IsFinal(job.state)) ++ended;
  }

  void Obey(const GangOrder& order) {
    const GangId id = {order.job, order.epoch};
    const auto found = gangs_.find(id);
    switch (order.kind) {
      case GangOrderKind::kStart:
        CARACAL_CHECK(found == gangs_.end()) << "started twice";
        for (const auto& [other, gang] : gangs_) {
          CARACAL_CHECK(other.first != order.job || !gang.alive)
              << "two gangs of job " << order.job;
        }
        ++starts;
        gangs_[id] = {};
        if (Below(20) == 0) End(gangs_[id], GangEnd::kFailed);
        break;
      case GangOrderKind::kStop:
        if (found == gangs_.end()) break;
        found->second.asked_to_stop = true;
        if (found->second.alive && Below(2) == 0) {
          End(found->second, GangEnd::kStopped);
        }
        break;
      case GangOrderKind::kKill:
        if (found != gangs_.end() && found->second.alive && Below(4) != 0) {
          End(found->second, GangEnd::kLost);
        }
        break;
      case GangOrderKind::kFind:
        // Not there: now it never will be.
        if (found == gangs_.end()) {
          gangs_[id] = {
              .alive = false, .claimed = false, .end = GangEnd::kLost};
        }
        if (gangs_[id].alive) {
          Do([&](Effects* e) {
            state_->GangFound(id.first, id.second, now_, e);
          });
        } else {
          untold_.insert(id);
        }
        break;
    }
    for (auto& [gang_id, gang] : gangs_) {
      if (!gang.alive && !told_.contains(gang_id)) untold_.insert(gang_id);
    }
  }

  static void End(Gang& gang, GangEnd end) {
    gang.alive = false;
    gang.end = end;
  }

  void Submit() {
    if (state_->jobs().size() > 8) return;
    JobRequest request;
    request.owner = Below(2) == 0 ? "ann" : "bob";
    request.spec =
        "#\nstages { finetune { steps: 9 curriculum { drop { constant: 0.25 } "
        "} "
        "} }";
    request.slots = 1 + Below(4);
    request.priority = Below(3);
    request.max_retries = Below(3);
    if (Below(3) == 0) request.after = {AnyJob()};
    if (Below(2) == 0) request.idempotency_key = std::to_string(Below(5));
    Do([&](Effects* e) { (void)state_->Submit(request, now_, e); });
  }

  // Also from gangs that are long given up, and from dead ones' packets.
  void Beat() {
    if (gangs_.empty()) return;
    auto& [id, gang] = *AnyGang();
    gang.written += Below(3);
    int64_t answered = -1;
    Do([&](Effects* e) {
      const JobRecord* job = state_->Find(id.first);
      JobProgress progress;
      if (job != nullptr) progress.global_step = job->progress.global_step + 1;
      const bool ok =
          state_->Heartbeat(id.first, id.second, progress, now_, e).ok();
      CARACAL_CHECK(!ok || job->epoch == id.second) << "not fenced";
      std::vector<std::string> lines;
      for (int64_t line = gang.sent + 1; line <= gang.written; ++line) {
        lines.push_back(std::to_string(line));
      }
      const auto stored =
          state_->Report(id.first, id.second, gang.sent + 1, lines, e);
      CARACAL_CHECK(stored.ok() == ok) << stored.status().message();
      if (stored.ok()) answered = *stored;
    });
    // The answer comes when all of that is durable, and may be lost.
    if (answered <= lines_[id] && Below(3) != 0) {
      gang.sent = std::max(gang.sent, answered);
    }
  }

  // A cluster says that a gang still waits, and at times says nothing.
  void Wait() {
    if (gangs_.empty()) return;
    if (Below(20) == 0) state_->SetClusterSilent(Below(2) == 0, now_);
    const GangId id = AnyGang()->first;
    Do([&](Effects* e) {
      state_->GangWaits(id.first, id.second, "Priority", now_, e);
    });
  }

  // Somebody tunes, or a gang asks what is set.
  void Steer() {
    const JobId job = AnyJob();
    const double p = static_cast<double>(Below(3)) / 2;
    if (Below(2) == 0) {
      const Tuning tuning = {.drop_probability = p, .by = "ann"};
      Do([&](Effects* e) { (void)state_->Tune(job, tuning, "", e); });
      return;
    }
    if (gangs_.empty()) return;
    const GangId id = AnyGang()->first;
    Do([&](Effects* e) {
      const auto window = state_->Direct(id.first, id.second, {}, e);
      if (!window.ok()) return;
      const JobRecord& record = *state_->Find(id.first);
      CARACAL_CHECK(record.epoch == id.second) << "not fenced";
      CARACAL_CHECK(window->directives[0].drop_probability ==
                    record.tuning.drop_probability.value_or(0.25))
          << "tuned";
    });
  }

  void EndSome() {
    if (gangs_.empty()) return;
    auto& [id, gang] = *AnyGang();
    if (!gang.alive) return;
    End(gang, static_cast<GangEnd>(Below(static_cast<int>(kGangEnds.size()))));
    untold_.insert(id);
  }

  // The launcher sees that a gang has ended; sometimes it says so twice.
  void Tell() {
    if (untold_.empty()) return;
    const GangId id = *untold_.begin();
    const Gang gang = gangs_.at(id);
    Do([&](Effects* e) {
      state_->GangEnded(id.first, id.second, gang.end, "ended", now_, e);
    });
    if (Below(10) == 0) return;
    untold_.erase(id);
    told_.insert(id);
    // The store may have missed it: then it is looked for after the restart.
    const auto stored = store_.find(id.first);
    if (stored == store_.end() || stored->second.epoch > id.second ||
        IsFinal(stored->second.state)) {
      gangs_.erase(id);
      told_.erase(id);
    }
  }

  void Restart() {
    restarting_ = true;
    ++restarts;
    untold_.clear();
    told_.clear();
    std::vector<JobRecord> jobs;
    for (const auto& [id, job] : store_) jobs.push_back(job);
    state_.emplace(limits_);
    Effects effects;
    state_->Recover(jobs, stored_next_id_, now_, &effects);
    state_->CheckInvariants();
    for (const JobId id : effects.saved) store_[id] = *state_->Find(id);
    for (const GangOrder& order : effects.orders) Obey(order);
    restarting_ = false;
  }

  std::mt19937_64 random_;
  CoordinatorLimits limits_;
  std::optional<CoordinatorState> state_;
  absl::Time now_ = absl::FromUnixSeconds(1'000'000);
  std::map<JobId, JobRecord> store_;
  JobId stored_next_id_ = 1;
  std::map<GangId, Gang> gangs_;
  std::set<GangId> untold_, told_;
  std::map<GangId, int64_t> lines_;  // of metrics that are stored
  bool restarting_ = false;
};

TEST(ExplorationTest, AMillionEvents) {
  int64_t starts = 0, restarts = 0, ended = 0;
  for (uint64_t seed = 0; seed < 250; ++seed) {
    World world(seed);
    for (int i = 0; i < 4000; ++i) world.Event();
    world.Settle();
    starts += world.starts;
    restarts += world.restarts;
    ended += world.ended;
  }
  // It went everywhere.
  EXPECT_GT(starts, 20000);
  EXPECT_GT(restarts, 5000);
  EXPECT_GT(ended, 10000);
  printf("%ld gangs, %ld restarts, %ld jobs ended\n", starts, restarts, ended);
}

}  // namespace
}  // namespace caracal
