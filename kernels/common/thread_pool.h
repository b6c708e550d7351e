// A fixed set of threads that runs the loops of kernels.
#ifndef CARACAL_KERNELS_COMMON_THREAD_POOL_H_
#define CARACAL_KERNELS_COMMON_THREAD_POOL_H_

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <thread>
#include <vector>

namespace caracal {

// A non-owning reference to a callable; lives as long as the call it is
// passed to. Calling allocates nothing.
template <typename Signature>
class FunctionRef;
template <typename R, typename... Args>
class FunctionRef<R(Args...)> {
 public:
  template <typename F>
  FunctionRef(F&& f)  // NOLINT: implicit
      : object_(const_cast<void*>(static_cast<const void*>(&f))),
        call_([](void* object, Args... args) -> R {
          return (*static_cast<std::remove_reference_t<F>*>(object))(args...);
        }) {}
  R operator()(Args... args) const { return call_(object_, args...); }

 private:
  void* object_;
  R (*call_)(void*, Args...);
};

// The calling thread takes part in the work, so ThreadPool(1) starts no
// thread at all. One ParallelFor at a time: the pool belongs to one caller
// thread (a rank's training thread); not thread-safe. Nested calls run
// serially on the calling worker.
class ThreadPool {
 public:
  // threads >= 1.
  explicit ThreadPool(int threads);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int threads() const { return threads_; }

  // Runs fn(index, thread) for each index in [0, count), thread in
  // [0, threads()). Indices are handed out one by one, so uneven tasks
  // balance; which thread gets which index is not deterministic, so results
  // must not depend on it. Returns when all are done; no allocation.
  void ParallelFor(int64_t count, FunctionRef<void(int64_t, int)> fn);

  // Splits [0, count) into at most threads() contiguous ranges whose borders
  // are multiples of `grain`, and runs fn(begin, end, thread) on each. The
  // split depends on count, grain and threads() only.
  void ParallelRanges(int64_t count, int64_t grain,
                      FunctionRef<void(int64_t, int64_t, int)> fn);

 private:
  void WorkerLoop(int thread);
  void Drain(int thread);

  const int threads_;
  std::vector<std::thread> workers_;
  std::mutex mutex_;
  std::condition_variable wake_;
  // The loop under way: its number (48 bits), whether workers may still join
  // it, and how many are in it. A worker that the system has not scheduled in
  // time is not waited for: the others do its share.
  std::atomic<uint64_t> loop_{0};
  std::atomic<int64_t> next_{0};
  std::atomic<bool> stop_{false};
  int64_t count_ = 0;
  FunctionRef<void(int64_t, int)>* fn_ = nullptr;
};

// Cores this process may run on (affinity and cgroup quota respected).
int AvailableCores();

}  // namespace caracal

#endif  // CARACAL_KERNELS_COMMON_THREAD_POOL_H_
