// Hands events on to those who watch.
#ifndef CARACAL_JOBS_COORDINATOR_RPC_EVENT_HUB_H_
#define CARACAL_JOBS_COORDINATOR_RPC_EVENT_HUB_H_

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "jobs/coordinator/store/job_store.h"

namespace caracal {

class Subscription;

// The events of a job (0: of all) after `sequence`, at most `limit`, in order:
// as Coordinator::Events. The reply comes on the thread that calls
// EventHub::Happened, so that a page that is not full ends where the live
// events begin.
using EventReader = std::function<void(
    JobId job, uint64_t sequence, int64_t limit,
    std::function<void(absl::StatusOr<std::vector<StoredEvent>>)> reply)>;

// Thread-safe.
class EventHub {
 public:
  // Before anybody subscribes.
  void SetReader(EventReader reader) { reader_ = std::move(reader); }

  // Durable events, in order, from one thread.
  void Happened(const std::vector<StoredEvent>& events);
  // From the same thread: whether anything can become durable. Whoever watches
  // is told by an event that is not stored, and has the number of the one
  // before it: of kind "store", {"ok": false, "why": "..."}, and {"ok": true}.
  void StoreChanged(const absl::Status& health);

  // Events of `job` (0: of all) after `sequence`: first those of the store,
  // then live ones. `wake` is called, with no lock held, whenever Take() may
  // have something new to say; not after the subscription is destroyed.
  std::shared_ptr<Subscription> Subscribe(JobId job, uint64_t sequence,
                                          std::function<void()> wake);

 private:
  friend class Subscription;
  void Remove(Subscription* subscription);

  EventReader reader_;
  absl::Mutex mutex_;
  std::map<JobId, std::set<Subscription*>> live_ ABSL_GUARDED_BY(mutex_);
  absl::Status store_ ABSL_GUARDED_BY(mutex_);
};

// A bounded buffer between the events and one reader. Thread-safe.
class Subscription : public std::enable_shared_from_this<Subscription> {
 public:
  // What a reader that takes nothing may be behind.
  static constexpr size_t kMostEvents = 1024;
  static constexpr size_t kMostBytes = 4 << 20;

  Subscription(EventHub* hub, JobId job, uint64_t sequence,
               std::function<void()> wake)
      : hub_(hub), job_(job), sequence_(sequence), wake_(std::move(wake)) {}
  ~Subscription();

  // The next event; null: none yet. kResourceExhausted for a reader that was
  // too slow, with the sequence number to go on after; errors of the store.
  absl::StatusOr<std::shared_ptr<const StoredEvent>> Take();

  // No wake-up comes after it.
  void Close();

 private:
  friend class EventHub;
  // Whether to wake the reader.
  bool Push(const std::shared_ptr<const StoredEvent>& event);
  void PushStore(const absl::Status& health);
  void ReadPage();
  void TakePage(absl::StatusOr<std::vector<StoredEvent>> page);
  void Wake();

  EventHub* const hub_;
  const JobId job_;
  absl::Mutex mutex_;
  uint64_t sequence_ ABSL_GUARDED_BY(mutex_);  // of the last event taken
  uint64_t read_until_ ABSL_GUARDED_BY(mutex_) = 0;
  std::deque<std::shared_ptr<const StoredEvent>> events_
      ABSL_GUARDED_BY(mutex_);
  size_t bytes_ ABSL_GUARDED_BY(mutex_) = 0;
  bool live_ ABSL_GUARDED_BY(mutex_) = false;
  bool reading_ ABSL_GUARDED_BY(mutex_) = false;
  absl::Status status_ ABSL_GUARDED_BY(mutex_);
  // Of the store, as the reader was told it, and to be told after `events_`.
  bool told_ok_ ABSL_GUARDED_BY(mutex_) = true;
  absl::Status store_ ABSL_GUARDED_BY(mutex_);
  // Its own lock: held while it runs, so that Close() waits for it.
  absl::Mutex wake_mutex_;
  std::function<void()> wake_ ABSL_GUARDED_BY(wake_mutex_);
};

}  // namespace caracal

#endif  // CARACAL_JOBS_COORDINATOR_RPC_EVENT_HUB_H_
