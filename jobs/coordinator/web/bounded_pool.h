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
// accepted meanwhile.
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
        mutex_.Await(absl::Condition(&ready));
        if (tasks_.empty()) return;
        task = std::move(tasks_.front());
        tasks_.pop_front();
      }
      task();
    }
  }

  const size_t most_waiting_;
  absl::Mutex mutex_;
  std::deque<std::function<void()>> tasks_ ABSL_GUARDED_BY(mutex_);
  bool stop_ ABSL_GUARDED_BY(mutex_) = false;
  std::vector<std::thread> threads_;
};

}  // namespace caracal

#endif  // CARACAL_JOBS_COORDINATOR_WEB_BOUNDED_POOL_H_
