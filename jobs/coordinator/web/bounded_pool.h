// The threads that answer the page's requests.
#ifndef CARACAL_JOBS_COORDINATOR_WEB_BOUNDED_POOL_H_
#define CARACAL_JOBS_COORDINATOR_WEB_BOUNDED_POOL_H_

#include <httplib.h>

#include <deque>
#include <functional>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"

namespace caracal {

// A fixed number of threads and of connections that wait for one; more are not
// accepted meanwhile. Thread-safe.
class BoundedPool final : public httplib::TaskQueue {
 public:
  BoundedPool(int threads, size_t most_waiting) : most_waiting_(most_waiting) {
    for (int i = 0; i < threads; ++i) {
      threads_.emplace_back([this] { Run(); });
    }
  }

  void enqueue(std::function<void()> task) override {
    absl::MutexLock lock(&mutex_);
    const auto room = [this] { return tasks_.size() < most_waiting_; };
    mutex_.Await(absl::Condition(&room));
    tasks_.push_back(std::move(task));
  }
  // Asked by a task that waits for its client: whether it is to end, because
  // another one waits for a thread. As many are told so as wait.
  bool GiveWay() {
    absl::MutexLock lock(&mutex_);
    if (tasks_.size() <= idle_ + giving_way_) return false;
    ++giving_way_;
    return true;
  }
  // Does first what waits: those tasks own sockets.
  void shutdown() override {
    {
      absl::MutexLock lock(&mutex_);
      stop_ = true;
    }
    for (std::thread& thread : threads_) thread.join();
  }

 private:
  void Run() {
    while (true) {
      std::function<void()> task;
      {
        absl::MutexLock lock(&mutex_);
        const auto ready = [this] { return stop_ || !tasks_.empty(); };
        ++idle_;
        mutex_.Await(absl::Condition(&ready));
        --idle_;
        if (tasks_.empty()) return;
        task = std::move(tasks_.front());
        tasks_.pop_front();
        if (giving_way_ > 0) --giving_way_;
      }
      task();
    }
  }

  const size_t most_waiting_;
  absl::Mutex mutex_;
  std::deque<std::function<void()>> tasks_ ABSL_GUARDED_BY(mutex_);
  size_t idle_ ABSL_GUARDED_BY(mutex_) = 0;        // threads
  size_t giving_way_ ABSL_GUARDED_BY(mutex_) = 0;  // tasks, told to end
  bool stop_ ABSL_GUARDED_BY(mutex_) = false;
  std::vector<std::thread> threads_;
};

}  // namespace caracal

#endif  // CARACAL_JOBS_COORDINATOR_WEB_BOUNDED_POOL_H_
