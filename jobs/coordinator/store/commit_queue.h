// Makes changes durable, as many at a time as have come meanwhile: one sync of
// the disk for all of them.
#ifndef CARACAL_JOBS_COORDINATOR_STORE_COMMIT_QUEUE_H_
#define CARACAL_JOBS_COORDINATOR_STORE_COMMIT_QUEUE_H_

#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "jobs/coordinator/store/job_store.h"

namespace caracal {

// Thread-safe.
class CommitQueue {
 public:
  // Called when the store begins to fail (why), as a second try has, and when
  // it takes changes again: on the queue's thread, before anybody else is told.
  // Also when a read has found that it is damaged, after which it takes none.
  using Changed = std::function<void(const absl::Status&)>;

  // The store outlives the queue, which alone uses it, one thread at a time.
  explicit CommitQueue(JobStore* store, absl::Duration retry = absl::Seconds(1),
                       Changed changed = nullptr);
  CommitQueue(const CommitQueue&) = delete;
  CommitQueue& operator=(const CommitQueue&) = delete;
  // Returns when all that was added is durable and told, or, with a store that
  // fails, after one more try.
  ~CommitQueue();

  // `done` is called when this batch and all those before it are durable, in
  // the order of the calls, on the queue's thread or in somebody's
  // CommitHere(); never when they cannot be. A batch may be empty: its `done`
  // waits for those before it.
  //
  // What the store refuses (a full disk) is tried again until it goes through,
  // since memory is ahead of the disk by then; Health() tells. `held`, if there
  // is one, is called once, with why, when a second try has failed: on the
  // queue's thread, and `done` later all the same.
  using Held = std::function<void(const absl::Status&)>;
  void Add(StoreBatch batch, std::function<void()> done, Held held = nullptr);

  // The same for a caller who then calls CommitHere(), and not before: the
  // queue's thread is not woken for it.
  void AddForHere(StoreBatch batch, std::function<void()> done,
                  Held held = nullptr);
  // Commits what waits on the calling thread, unless another one is at it: that
  // one goes on with what has come. Spares whoever would wait anyway two
  // switches of threads. To be called without locks that a `done` takes.
  void CommitHere();

  // The error that holds the queue up; OK when there is none.
  absl::Status Health() const;

  // Reads from the store, between two transactions. Everything added before is
  // in it.
  void Read(std::function<void(JobStore&)> read);
  // The same of what is durable: while the store takes no changes, nothing that
  // is added before is waited for. What is in it has been told, and nothing
  // else, before `read` returns.
  void ReadDurable(std::function<void(JobStore&)> read);

 private:
  struct Answer {
    // One of the three.
    std::function<void()> done = nullptr;
    std::function<void(JobStore&)> read = nullptr;
    std::function<void(JobStore&)> read_durable = nullptr;
    Held held = nullptr;
  };
  // What goes to the disk in one transaction, and who is told then.
  struct Round {
    bool empty() const { return batches.empty() && answers.empty(); }
    std::vector<StoreBatch> batches;
    std::vector<Answer> answers;
  };

  void Push(StoreBatch batch, Answer answer, bool wake);
  void Run();
  // What waits, for a thread that is to commit it. With the mutex.
  Round Take();
  // One try.
  absl::Status Write(const Round& round);
  void Tell(const Round& round);
  // Of this round and of what waits behind it, whoever has not been told.
  void TellHeld(Round& round, const absl::Status& why);
  // Of both, what may be read although they can't be written.
  void ServeDurable(Round& round);
  // After a read.
  void NoteDamage();
  // Serves those who read until it is time to try again.
  void AwaitRetry(Round& round);

  JobStore* const store_;
  const absl::Duration retry_;
  const Changed health_changed_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  Round waiting_;            // guarded by mutex_
  bool committing_ = false;  // a thread has the store; guarded by mutex_
  bool reads_wait_ = false;  // ReadDurable() was called; guarded by mutex_
  absl::Status health_;      // guarded by mutex_
  bool ending_ = false;      // guarded by mutex_
  std::thread thread_;
};

}  // namespace caracal

#endif  // CARACAL_JOBS_COORDINATOR_STORE_COMMIT_QUEUE_H_
