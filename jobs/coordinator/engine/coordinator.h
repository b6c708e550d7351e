// The coordinator: the state machine with a store behind it and a launcher
// before it.
#ifndef CARACAL_JOBS_COORDINATOR_ENGINE_COORDINATOR_H_
#define CARACAL_JOBS_COORDINATOR_ENGINE_COORDINATOR_H_

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/base/clock.h"
#include "jobs/coordinator/engine/coordinator_stats.h"
#include "jobs/coordinator/engine/durable_jobs.h"
#include "jobs/coordinator/state/coordinator_state.h"
#include "jobs/coordinator/store/commit_queue.h"

namespace caracal {

// What goes out of the coordinator. Called on the thread that commits, one at a
// time and in order, when what led to it is durable: is to return soon, and may
// call the coordinator.
class CoordinatorOutput {
 public:
  virtual ~CoordinatorOutput() = default;
  // `job` as it was when the order was given.
  virtual void Order(const GangOrder& order, const JobRecord& job) = 0;
  virtual void Happened(const std::vector<StoredEvent>& events) = 0;
  // The job is forgotten.
  virtual void Removed(JobId) {}
  // The store begins to fail, or takes changes again (OK).
  virtual void StoreChanged(const absl::Status&) {}
};

// What a gang tells.
struct GangReport {
  JobProgress progress = {};
  // Of its metrics, from its `first`th, from 1. May be empty.
  int64_t first = 0;
  std::vector<std::string> lines = {};
};

struct GangAnswer {
  bool go_on = true;     // else it is to save and end
  int64_t lines = 0;     // of its metrics that are stored
  uint64_t tunings = 0;  // when it changes, directives are asked for again
};

struct GangDirectives {
  CurriculumWindow window;
  uint64_t tunings = 0;  // that are in it
};

// Every change is durable before it is answered or acted upon. Answers come on
// the thread that commits, which may be the caller's; where nothing was to be
// stored, on the caller's.
//
// With a store that fails, what people ask for is refused with kUnavailable
// (CheckStore()), and so is answered what could not be stored: that may still
// come about, and asked for again with its idempotency key it is the same. What
// gangs and launchers tell is taken in, and answered late.
//
// Thread-safe.
class Coordinator {
 public:
  using Reply = std::function<void(absl::Status)>;
  using GangReply = std::function<void(absl::StatusOr<GangAnswer>)>;

  // Store, clock and output outlive it. `retry`: of a store that fails.
  Coordinator(const CoordinatorLimits& limits, JobStore* store, Clock* clock,
              CoordinatorOutput* output,
              absl::Duration retry = absl::Seconds(1));
  // Waits until all is answered that can be.
  ~Coordinator() = default;

  // First, once: reads the store. Errors of JobStore::Load.
  absl::Status Load();
  // Then: which database it is (StoreContents::database).
  uint64_t database() const;
  // And whether it ever started a gang, as far as it can tell: one of its jobs
  // had one, or jobs are forgotten.
  bool had_gangs() const;
  // Then, before Recover(): jobs to come have at least this number.
  void NumberFrom(JobId least);
  // Then, once: goes on from there. All other calls wait for it, so that
  // whoever is called by those who come early may be set up in between.
  void Recover();

  // As CoordinatorState has them.
  absl::Status CheckRequest(const JobRequest& request,
                            std::vector<Problem>* problems) const;
  void Submit(const JobRequest& request,
              std::function<void(absl::StatusOr<JobId>)> reply);
  void Cancel(JobId id, const std::string& who, Reply reply,
              const std::string& idempotency_key = "");
  void Resume(JobId id, const std::string& idempotency_key, Reply reply);
  void Remove(JobId id, Reply reply);
  void SetPriority(JobId id, int64_t priority, Reply reply,
                   const std::string& idempotency_key = "");
  void Tune(JobId id, const Tuning& tuning, const std::string& idempotency_key,
            Reply reply);
  // `hosts` of its ranks, in their order; empty: not told.
  void Register(JobId id, uint64_t epoch, GangReply reply,
                const std::vector<std::string>& hosts = {});
  void Heartbeat(JobId id, uint64_t epoch, const GangReport& report,
                 GangReply reply);
  void Direct(JobId id, uint64_t epoch, const CurriculumPoint& point,
              std::function<void(absl::StatusOr<GangDirectives>)> reply);
  // CoordinatorState::ReportLeft.
  void ReportLeft(JobId id, uint64_t epoch, const GangReport& report);
  void GangFound(JobId id, uint64_t epoch);
  void GangWaits(JobId id, uint64_t epoch, const std::string& reason);
  void GangEnded(JobId id, uint64_t epoch, GangEnd end,
                 const std::string& reason);
  void SetClusterSilent(bool silent);

  // CoordinatorState::Tick: does what is due. Then tells when to call it again;
  // earlier when something happens, so that TickUntil is how it is called for
  // good.
  absl::Time Tick(absl::Time planned = absl::InfiniteFuture());
  // Ticks when it is time to, by the machine's clock, until `stop` is set:
  // within a second, or at once after WakeTicks(). `also` is called each time,
  // with how soon it is called again at the latest.
  void TickUntil(const std::atomic<bool>& stop,
                 const std::function<void(absl::Duration)>& also = nullptr);
  void WakeTicks();

  // Of what is durable, but for progress: no restart takes back what was seen.
  // As DurableJobs has them, but that the reason of one that waits also says
  // what for (CoordinatorState::WaitsFor).
  std::optional<JobRecord> Get(JobId id) const;
  JobPage List(const JobFilter& filter, JobId from, int64_t limit) const;
  std::vector<JobId> EndedBefore(absl::Time when, JobId after,
                                 int64_t limit) const;
  // In time linear in the jobs that hold slots.
  CoordinatorStats Stats() const;
  // A job of this id was submitted once, and is forgotten.
  bool IsForgotten(JobId id) const;
  // Whose job it is, durable or not: for whoever is about to change it. None:
  // there is no such job.
  std::optional<std::string> OwnerOf(JobId id) const;
  // The last line of metrics that a gang of the job has told this process of;
  // "": none.
  std::string LastMetrics(JobId id) const;
  // Runs on the thread that commits, which alone uses the store, after all that
  // was asked for before. For what is no job's.
  void OnStore(std::function<void(JobStore&)> run) {
    queue_.Read(std::move(run));
  }
  // The same to read what is durable: also while the store takes no changes.
  void ReadStore(std::function<void(JobStore&)> read) {
    queue_.ReadDurable(std::move(read));
  }

  // Makes a batch durable that is no job's; `done` and `held` as of
  // CommitQueue::Add.
  void Store(StoreBatch batch, std::function<void()> done,
             CommitQueue::Held held = nullptr) {
    queue_.Add(std::move(batch), std::move(done), std::move(held));
  }

  // Of the store.
  absl::Status Health() const { return queue_.Health(); }
  // kUnavailable while it fails: memory is ahead of it then, and no change is
  // taken in that people ask for.
  absl::Status CheckStore() const;
  // Events of a job (0: of all) after `sequence`, from the store, also while
  // that takes no changes.
  void Events(
      JobId job, uint64_t sequence, int64_t limit,
      std::function<void(absl::StatusOr<std::vector<StoredEvent>>)> reply);

 private:
  // What was last heard of a job's gang.
  struct News {
    // Keeps of these lines, the newest last, what GangStats shows.
    void Add(const std::vector<std::string>& lines);

    absl::Time heard;
    std::string metrics;
    std::array<std::string, kNowAndThen.size()> last_with;
  };

  // The date, but that it does not jump when somebody sets the clock: no gang
  // is given up for that.
  absl::Time Now() const { return start_ + clock_->Now(); }
  // When to answer, and on which thread what was changed is made durable.
  enum class Answering {
    kWhenDurable,
    kAtOnce,  // where nothing was changed, or is still to be stored, of the job
              // it is about; else when durable
    kHere,    // when durable; the caller, who waits for it, commits
  };
  // Runs `event` on the state; makes its effects durable; then acts and calls
  // `then`. `held` as of CommitQueue::Add.
  template <typename Event>
  void Do(Event event, std::function<void()> then,
          Answering answering = Answering::kWhenDurable, JobId about = 0,
          CommitQueue::Held held = nullptr);
  // The same, for an event that has something to answer.
  template <typename Result, typename Event>
  void Ask(Event event, std::function<void(Result)> reply, Answering answering,
           JobId about);
  // The same for what people ask for, which is answered once, also with a store
  // that fails.
  template <typename Result, typename Event>
  void Change(Event event, std::function<void(Result)> reply,
              Answering answering = Answering::kWhenDurable);
  // With `effects` of the state as it is, under the mutex. Wakes TickUntil if
  // something is due sooner. `here`: the caller calls queue_.CommitHere().
  void Commit(const Effects& effects, absl::Time now,
              std::function<void()> then, bool here = false,
              CommitQueue::Held held = nullptr);
  void AwaitRecovery(std::unique_lock<std::mutex>& lock) const {
    changed_.wait(lock, [this] { return recovered_; });
  }
  // Until the jobs are there.
  void AwaitRecovery() const {
    std::unique_lock lock(mutex_);
    AwaitRecovery(lock);
  }
  StoreBatch BatchOf(const Effects& effects, absl::Time now);
  // What is durable now is seen.
  void Show(std::vector<JobRecord> saved, const std::vector<JobId>& removed,
            const std::vector<JobState>& entered,
            const std::vector<StoredEvent>& events);
  // With the mutex held.
  void SayWhatFor(JobRecord* job) const;
  // Of what a batch changes: another one is to be stored (1), or was (-1).
  void CountUnstored(const std::vector<JobRecord>& saved,
                     const std::vector<StoredEvent>& events, int64_t by);

  JobStore* const store_;
  Clock* const clock_;
  const absl::Time start_;  // the date when clock_'s durations began
  CoordinatorOutput* const output_;
  // std::, which ThreadSanitizer sees through. Guards all up to the queue.
  mutable std::mutex mutex_;
  // The state changed, or was recovered.
  mutable std::condition_variable changed_;
  CoordinatorState state_;
  bool recovered_ = false;
  StoreContents loaded_;  // until then
  // When TickUntil looks at the time again.
  absl::Time ticks_at_ = absl::InfinitePast();
  uint64_t last_sequence_ = 0;
  std::map<JobId, News> news_;
  // Records and events that are to be stored, by job; none is 0.
  std::map<JobId, int64_t> unstored_;
  // Of what is durable.
  std::array<uint64_t, kJobStates> transitions_ = {};
  uint64_t shown_sequence_ = 0;
  DurableJobs durable_;  // with a lock of its own, taken last
  // Last: its thread uses all of the above until it ends.
  CommitQueue queue_;
};

}  // namespace caracal

#endif  // CARACAL_JOBS_COORDINATOR_ENGINE_COORDINATOR_H_
