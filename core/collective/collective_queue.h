// Collective operations behind the caller's back: gradients are reduced while
// backward goes on, whatever progress a communication library makes by itself.
#ifndef CARACAL_CORE_COLLECTIVE_COLLECTIVE_QUEUE_H_
#define CARACAL_CORE_COLLECTIVE_COLLECTIVE_QUEUE_H_

#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "core/collective/collective.h"

namespace caracal {

// One thread that runs operations one after another on a group of its own
// (over the same ranks as the caller's group, say, but another one). Every
// rank's queue must be given the same operations in the same order.
//
// For one calling thread. The destructor runs what is queued and drops its
// error: call Wait before.
class CollectiveQueue {
 public:
  using Operation = std::function<absl::Status(Collective&)>;

  explicit CollectiveQueue(std::unique_ptr<Collective> collective);
  CollectiveQueue(const CollectiveQueue&) = delete;
  CollectiveQueue& operator=(const CollectiveQueue&) = delete;
  ~CollectiveQueue();

  // Queues an operation and returns. What it uses must stay, and what it
  // writes must be left alone, until Wait has returned.
  void Start(Operation operation);

  // Until all that was started has run; the first error. After an error the
  // group is unusable: nothing more is run, and Wait keeps returning it.
  absl::Status Wait();

  // The group, for the caller while nothing is queued (after Wait).
  const Collective& collective() const { return *collective_; }

 private:
  void Run();

  const std::unique_ptr<Collective> collective_;

  std::mutex mutex_;  // of the next four
  std::condition_variable changed_;
  std::vector<Operation> queued_;
  bool idle_ = true;  // nothing queued, nothing running
  bool stopping_ = false;
  absl::Status result_;

  std::thread thread_;  // last: it uses all of the above
};

}  // namespace caracal

#endif  // CARACAL_CORE_COLLECTIVE_COLLECTIVE_QUEUE_H_
