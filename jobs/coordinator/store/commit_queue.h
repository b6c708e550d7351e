// Makes changes durable behind the back of those who made them, as many at a
// time as have come meanwhile: one sync of the disk for all of them.
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
  // The store outlives the queue and is the queue's thread's alone, but for
  // Read().
  explicit CommitQueue(JobStore* store,
                       absl::Duration retry = absl::Seconds(1));
  CommitQueue(const CommitQueue&) = delete;
  CommitQueue& operator=(const CommitQueue&) = delete;
  // Returns when all that was added is durable and told, or, with a store that
  // fails, after one more try.
  ~CommitQueue();

  // `done` is called on the queue's thread when this batch and all those
  // before it are durable, in the order of the calls; never when they cannot
  // be. A batch may be empty: its `done` waits for those before it.
  //
  // What the store refuses (a full disk) is tried again until it goes through,
  // since memory is ahead of the disk by then; Health() tells.
  void Add(StoreBatch batch, std::function<void()> done);

  // The error that holds the queue up; OK when there is none.
  absl::Status Health() const;

  // Reads from the store, between two transactions. Everything added before is
  // in it.
  void Read(std::function<void(JobStore&)> read);

 private:
  struct Entry {
    StoreBatch batch;
    std::function<void()> done;
    std::function<void(JobStore&)> read;  // or this
  };

  void Run();
  // Whether it is durable; false only when the queue ends.
  bool Write(const std::vector<StoreBatch>& batches);

  JobStore* const store_;
  const absl::Duration retry_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<Entry> waiting_;  // guarded by mutex_
  absl::Status health_;         // guarded by mutex_
  bool ending_ = false;         // guarded by mutex_
  std::thread thread_;
};

}  // namespace caracal

#endif  // CARACAL_JOBS_COORDINATOR_STORE_COMMIT_QUEUE_H_
