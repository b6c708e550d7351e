#include "core/collective/collective_queue.h"

#include <utility>

namespace caracal {

ThreadCollectiveQueue::ThreadCollectiveQueue(
    std::unique_ptr<Collective> collective)
    : collective_(std::move(collective)), thread_([this] { Run(); }) {}

ThreadCollectiveQueue::~ThreadCollectiveQueue() {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

void ThreadCollectiveQueue::Start(Operation operation) {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    queued_.push_back(std::move(operation));
    idle_ = false;
  }
  changed_.notify_all();
}

absl::Status ThreadCollectiveQueue::Wait() {
  std::unique_lock<std::mutex> lock(mutex_);
  changed_.wait(lock, [this] { return idle_; });
  return result_;
}

void ThreadCollectiveQueue::Run() {
  std::vector<Operation> running;
  absl::Status result;
  while (true) {
    {
      std::unique_lock<std::mutex> lock(mutex_);
      result_ = result;
      if (queued_.empty()) {
        idle_ = true;
        changed_.notify_all();
      }
      changed_.wait(lock, [this] { return !queued_.empty() || stopping_; });
      if (queued_.empty()) return;
      running.swap(queued_);  // Both keep their memory.
    }
    for (const Operation& operation : running) {
      if (result.ok()) result = operation(*collective_);
    }
    running.clear();
  }
}

}  // namespace caracal
