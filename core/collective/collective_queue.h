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

// Every rank's queue must be given the same operations in the same order, which
// run one after another on a group of their own (over the same ranks as the
// caller's group, say, but another one). For one calling thread.
class CollectiveQueue {
 public:
  using Operation = std::function<absl::Status(Collective&)>;

  virtual ~CollectiveQueue() = default;

  // Queues an operation and returns. What it uses must stay, and what it
  // writes must be left alone, until Wait has returned.
  virtual void Start(Operation operation) = 0;

  // Until all that was started has run; the first error. After an error the
  // group is unusable: nothing more is run, and Wait keeps returning it. A
  // queue of a device makes the device wait instead: what is put on its stream
  // from now on sees the results.
  virtual absl::Status Wait() = 0;

  // The group, for the caller while nothing is queued (after Wait).
  virtual const Collective& collective() const = 0;

  // Of a device's queue: its own stream, on which operations put their work.
  virtual void* stream() const { return nullptr; }
};

// By a thread. The destructor runs what is queued and drops its error: call
// Wait before.
class ThreadCollectiveQueue final : public CollectiveQueue {
 public:
  explicit ThreadCollectiveQueue(std::unique_ptr<Collective> collective);
  ThreadCollectiveQueue(const ThreadCollectiveQueue&) = delete;
  ThreadCollectiveQueue& operator=(const ThreadCollectiveQueue&) = delete;
  ~ThreadCollectiveQueue() override;

  void Start(Operation operation) override;
  absl::Status Wait() override;
  const Collective& collective() const override { return *collective_; }

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
